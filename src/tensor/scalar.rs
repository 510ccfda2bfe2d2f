//! The scalar graph of the tutorials: one counted node for each number, with the edges it came
//! from, built, walked and dropped without recursion. Leans on `number` for the arithmetic.

use std::ops::{Add, Mul, Neg, Sub};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::tensor::number::Fault;
use crate::tensor::number::Number::{self, Float, Int};

/// A number that threads may share: racing writes leave some number or other, never a broken node.
struct Slot {
    bits: AtomicU64,
    whole: AtomicBool,
}

impl Slot {
    fn new(number: Number) -> Slot {
        let slot = Slot { bits: AtomicU64::new(0), whole: AtomicBool::new(true) };
        slot.set(number);
        slot
    }

    #[inline]
    fn get(&self) -> Number {
        let bits = self.bits.load(Relaxed);
        if self.whole.load(Relaxed) { Int(bits as i64) } else { Float(f64::from_bits(bits)) }
    }

    #[inline]
    fn set(&self, number: Number) {
        let (bits, whole) = match number {
            Int(i) => (i as u64, true),
            Float(x) => (x.to_bits(), false),
        };
        self.bits.store(bits, Relaxed);
        self.whole.store(whole, Relaxed);
    }
}

/// One step back along the graph: where a value came from, and its derivative by that.
#[derive(Clone)]
pub struct Edge {
    pub prev: Scalar,
    pub local_grad: Number,
}

/// Almost every node has at most two edges: those lie in the node itself.
#[derive(Default)]
enum Edges {
    #[default]
    None,
    One([Edge; 1]),
    Two([Edge; 2]),
    Many(Vec<Edge>),
}

impl Edges {
    #[inline]
    fn as_slice(&self) -> &[Edge] {
        match self {
            Edges::None => &[],
            Edges::One(edges) => edges,
            Edges::Two(edges) => edges,
            Edges::Many(edges) => edges,
        }
    }

    /// Hands over the edges of every node that dies with its last edge here.
    fn release(self, mut orphans: impl FnMut(Edges)) {
        let mut let_go = |edge: Edge| {
            // Of the threads that let go at once, into_inner makes exactly one the heir: no node
            // is ever dropped with its edges, so nothing is dropped in depth.
            if let Some(mut node) = Arc::into_inner(edge.prev.0)
                && !matches!(node.edges, Edges::None)
            {
                orphans(std::mem::take(&mut node.edges));
            }
        };
        match self {
            Edges::None => {}
            Edges::One(edges) => edges.into_iter().for_each(&mut let_go),
            Edges::Two(edges) => edges.into_iter().for_each(&mut let_go),
            Edges::Many(edges) => edges.into_iter().for_each(&mut let_go),
        }
    }
}

struct Node {
    value: Slot,
    grad: Slot,
    /// The number of the last walk that came by; read and written under the lock of `LAST_WALK`.
    walk: AtomicU64,
    /// One word that a language binding may keep here; the graph never reads it.
    face: AtomicUsize,
    edges: Edges,
}

impl Drop for Node {
    fn drop(&mut self) {
        if matches!(self.edges, Edges::None) {
            return;
        }
        let mut waiting = Vec::new();
        let mut next = Some(std::mem::take(&mut self.edges));
        while let Some(edges) = next {
            edges.release(|orphans| waiting.push(orphans));
            next = waiting.pop();
        }
    }
}

/// Walks mark the nodes they have seen with their own number, so they take turns.
static LAST_WALK: Mutex<u64> = Mutex::new(0);

/// A number and its history: a counted handle on a node of the graph.
///
/// ```
/// use schuss::tensor::number::Number;
/// use schuss::tensor::scalar::Scalar;
/// let (a, b) = (Scalar::leaf(Number::Int(3)), Scalar::leaf(Number::Int(4)));
/// let c = a.clone() * b.clone();
/// c.backward();
/// assert_eq!(c.value(), Number::Int(12));
/// assert_eq!((a.grad(), b.grad()), (Number::Int(4), Number::Int(3)));
/// ```
#[derive(Clone)]
pub struct Scalar(Arc<Node>);

impl Scalar {
    #[inline]
    fn node(value: Number, edges: Edges) -> Scalar {
        Scalar(Arc::new(Node {
            value: Slot::new(value),
            grad: Slot::new(Int(0)),
            walk: AtomicU64::new(0),
            face: AtomicUsize::new(0),
            edges,
        }))
    }

    pub fn leaf(value: Number) -> Scalar {
        Scalar::node(value, Edges::None)
    }

    pub fn with_edges(value: Number, edges: Vec<Edge>) -> Scalar {
        let edges = if edges.is_empty() { Edges::None } else { Edges::Many(edges) };
        Scalar::node(value, edges)
    }

    #[inline]
    fn unary(self, value: Number, local_grad: Number) -> Scalar {
        Scalar::node(value, Edges::One([Edge { prev: self, local_grad }]))
    }

    #[inline]
    fn binary(value: Number, left: (Scalar, Number), right: (Scalar, Number)) -> Scalar {
        let edge = |(prev, local_grad)| Edge { prev, local_grad };
        Scalar::node(value, Edges::Two([edge(left), edge(right)]))
    }

    #[inline]
    pub fn value(&self) -> Number {
        self.0.value.get()
    }

    pub fn set_value(&self, value: Number) {
        self.0.value.set(value);
    }

    pub fn grad(&self) -> Number {
        self.0.grad.get()
    }

    pub fn set_grad(&self, grad: Number) {
        self.0.grad.set(grad);
    }

    pub fn edges(&self) -> &[Edge] {
        self.0.edges.as_slice()
    }

    #[inline]
    pub fn face(&self) -> usize {
        self.0.face.load(Relaxed)
    }

    #[inline]
    pub fn set_face(&self, face: usize) {
        self.0.face.store(face, Relaxed);
    }

    /// One step of gradient descent: value - rate * grad.
    pub fn gradient_update(&self, rate: Number) {
        self.set_value(self.value() - rate * self.grad());
    }

    /// The derivative of this number by every node behind it, left in their `grad`.
    ///
    /// Nodes are visited in reverse depth-first post-order, so sums come out in one fixed order.
    pub fn backward(&self) {
        let mut last = LAST_WALK.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        let walk = *last;
        let mut order: Vec<&Node> = Vec::new();
        let mut open: Vec<(&Node, usize)> = vec![(&self.0, 0)];
        while let Some((node, next)) = open.last_mut() {
            let Some(edge) = node.edges.as_slice().get(*next) else {
                order.push(node);
                open.pop();
                continue;
            };
            *next += 1;
            let prev = &*edge.prev.0;
            if matches!(prev.edges, Edges::None) {
                prev.grad.set(Int(0));
            } else if prev.walk.load(Relaxed) != walk {
                prev.walk.store(walk, Relaxed);
                prev.grad.set(Int(0));
                open.push((prev, 0));
            }
        }
        self.set_grad(Int(1));
        for node in order.iter().rev() {
            let grad = node.grad.get();
            for edge in node.edges.as_slice() {
                let sum = &edge.prev.0.grad;
                sum.set(sum.get() + edge.local_grad * grad);
            }
        }
    }

    pub fn try_div(self, other: Scalar) -> Result<Scalar, Fault> {
        let (a, b) = (self.value(), other.value());
        let value = a.try_div(b)?;
        let (x, y) = (a.float(), b.float());
        // y * y leaves the range of floats long before the quotient does.
        let square = y * y;
        let slope = if square == 0.0 || square.is_infinite() { -(x / y) / y } else { -x / square };
        Ok(Scalar::binary(value, (self, Float(1.0 / y)), (other, Float(slope))))
    }

    pub fn try_pow(self, exponent: Scalar) -> Result<Scalar, Fault> {
        let (b, e) = (self.value(), exponent.value());
        let value = b.try_pow(e)?;
        let by_base = power_by_base(b, e);
        // 0 ** e is 0 for every e > 0, so the limit is 0 although the logarithm has none.
        let by_exponent = if value.float() == 0.0 || b.float() == 0.0 { 0.0 } else { b.float().abs().ln() * value.float() };
        Ok(Scalar::binary(value, (self, by_base), (exponent, Float(by_exponent))))
    }

    pub fn exp(self) -> Scalar {
        let y = Float(self.value().float().exp());
        self.unary(y, y)
    }

    pub fn log(self) -> Result<Scalar, Fault> {
        let x = self.value();
        if x.float() <= 0.0 {
            return Err(Fault::Domain(format!("log: {x} is not positive; keep the argument above 0, for example by adding 1e-12")));
        }
        Ok(self.unary(Float(x.float().ln()), Float(1.0 / x.float())))
    }

    pub fn tanh(self) -> Scalar {
        let y = self.value().float().tanh();
        self.unary(Float(y), Float(1.0 - y * y))
    }

    pub fn sigmoid(self) -> Scalar {
        let x = self.value().float();
        // exp of a negative number cannot overflow, so each sign has its own form.
        let small = (-x.abs()).exp();
        let y = if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) };
        self.unary(Float(y), Float(y * (1.0 - y)))
    }

    pub fn relu(self) -> Scalar {
        let x = self.value();
        if x.float() <= 0.0 {
            let zero = if let Int(_) = x { Int(0) } else { Float(0.0) };
            self.unary(zero, Int(0))
        } else {
            self.unary(x, Int(1))
        }
    }
}

impl Add for Scalar {
    type Output = Scalar;
    fn add(self, other: Scalar) -> Scalar {
        let value = self.value() + other.value();
        Scalar::binary(value, (self, Int(1)), (other, Int(1)))
    }
}

impl Sub for Scalar {
    type Output = Scalar;
    fn sub(self, other: Scalar) -> Scalar {
        let value = self.value() - other.value();
        Scalar::binary(value, (self, Int(1)), (other, Int(-1)))
    }
}

impl Mul for Scalar {
    type Output = Scalar;
    fn mul(self, other: Scalar) -> Scalar {
        let (a, b) = (self.value(), other.value());
        Scalar::binary(a * b, (self, b), (other, a))
    }
}

impl Neg for Scalar {
    type Output = Scalar;
    fn neg(self) -> Scalar {
        let value = -self.value();
        self.unary(value, Int(-1))
    }
}

/// The derivative of b ** e by b, e * b ** (e - 1), with its limits where that is undefined.
fn power_by_base(b: Number, e: Number) -> Number {
    if e.float() == 0.0 {
        return Float(0.0);
    }
    if b.float() == 0.0 && e.float() < 1.0 {
        return Float(f64::INFINITY);
    }
    e * b.try_pow(e - Int(1)).unwrap_or(Float(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(x: f64) -> Scalar {
        Scalar::leaf(Float(x))
    }

    /// Central differences of `f` at `x`.
    fn slope(f: impl Fn(Scalar) -> Scalar, x: f64) -> f64 {
        let h = 1e-6;
        (f(leaf(x + h)).value().float() - f(leaf(x - h)).value().float()) / (2.0 * h)
    }

    #[test]
    fn every_rule_agrees_with_central_differences() {
        type Rule = fn(Scalar) -> Scalar;
        let rules: [(&str, Rule); 13] = [
            ("add", |x| x.clone() + x),
            ("sub", |x| leaf(2.0) - x),
            ("mul", |x| x.clone() * x),
            ("neg", |x| -x),
            ("div", |x| x.try_div(leaf(3.0)).unwrap()),
            ("into", |x| leaf(3.0).try_div(x).unwrap()),
            ("pow", |x| x.try_pow(leaf(2.5)).unwrap()),
            ("raise", |x| leaf(2.5).try_pow(x).unwrap()),
            ("exp", Scalar::exp),
            ("log", |x| x.log().unwrap()),
            ("tanh", Scalar::tanh),
            ("sigmoid", Scalar::sigmoid),
            ("relu", Scalar::relu),
        ];
        for (name, rule) in rules {
            for at in [0.3, 1.0, 2.2] {
                let x = leaf(at);
                rule(x.clone()).backward();
                let (got, want) = (x.grad().float(), slope(rule, at));
                let close = (got - want).abs() < 1e-6 * (1.0 + want.abs());
                assert!(close, "{name} at {at}: {got} {want}");
            }
        }
    }

    #[test]
    fn a_shared_node_is_counted_once_for_each_path() {
        let x = leaf(3.0);
        let y = x.clone() * x.clone();
        let z = (y.clone() + y.clone()) * y;
        z.backward();
        z.backward();
        assert_eq!(x.grad(), Float(216.0));
    }

    #[test]
    fn a_long_chain_lives_and_dies_on_a_small_stack() {
        let walk = || {
            let x = Scalar::leaf(Int(1));
            let mut y = x.clone();
            for _ in 0..1_000_000 {
                y = y + x.clone();
            }
            y.backward();
            assert_eq!(x.grad(), Int(1_000_001));
        };
        let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(walk);
        thread.expect("a thread starts").join().expect("the chain fits the stack");
    }

    #[test]
    fn threads_may_share_a_graph() {
        let x = leaf(0.5);
        let mut y = x.clone();
        for _ in 0..1000 {
            y = y + x.clone();
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| y.backward()));
            }
        });
        assert_eq!(x.grad(), Int(1001));
    }
}
