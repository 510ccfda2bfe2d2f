//! `Scalar` and `Edge` as Python sees them: operands read, values and errors handed over.
//! Leans on the scalar graph for all arithmetic and on `collections.namedtuple` for `Edge`.

use pyo3::exceptions::{PyTypeError, PyValueError, PyZeroDivisionError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyString, PyType};
use pyo3::{ffi, intern};

use crate::tensor::number::{Fault, Number};
use crate::tensor::scalar::{Edge, Scalar};

static EDGE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

const EDGE_DOC: &str = "\
One step back along a graph of Scalars: the Scalar it leads to, and the derivative by it.

A named tuple (prev, local_grad): it unpacks, indexes and compares as a tuple does.

>>> prev, local_grad = schuss.Edge(schuss.Scalar(3), 4)
>>> local_grad
4";

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> PyErr {
        match fault {
            Fault::ZeroDivision(text) => PyZeroDivisionError::new_err(text),
            Fault::Domain(text) => PyValueError::new_err(text),
        }
    }
}

impl<'py> IntoPyObject<'py> for Number {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self {
            Number::Int(i) => PyInt::new(py, i).into_any(),
            Number::Float(x) => PyFloat::new(py, x).into_any(),
        })
    }
}

/// The number that `x` is, or None when it is none (an array, a tensor, a string).
fn number(x: &Bound<'_, PyAny>) -> PyResult<Option<Number>> {
    let py = x.py();
    if let Ok(x) = x.cast::<PyFloat>() {
        return Ok(Some(Number::Float(x.value())));
    }
    if let Ok(i) = x.cast::<PyInt>() {
        return Ok(Some(match i.extract::<i64>() {
            Ok(i) => Number::Int(i),
            Err(_) => Number::Float(x.extract()?),
        }));
    }
    // NumPy's scalars, fractions and decimals are numbers; whatever has a length is a container.
    if x.hasattr(intern!(py, "__len__"))? || x.is_instance_of::<PyScalar>() {
        return Ok(None);
    }
    if x.hasattr(intern!(py, "__index__"))?
        && let Ok(i) = x.extract::<i64>()
    {
        return Ok(Some(Number::Int(i)));
    }
    if x.hasattr(intern!(py, "__float__"))? {
        return Ok(Some(Number::Float(x.extract()?)));
    }
    Ok(None)
}

fn required(x: &Bound<'_, PyAny>, role: &str) -> PyResult<Number> {
    match number(x)? {
        Some(number) => Ok(number),
        None => Err(PyTypeError::new_err(format!("Scalar: {role} must be an int or a float, got {}", x.get_type().name()?))),
    }
}

fn operand(x: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    if let Ok(scalar) = x.cast::<PyScalar>() {
        return Ok(Some(node(scalar)));
    }
    Ok(number(x)?.map(Scalar::leaf))
}

/// The edges of `prevs`, an iterable of (Scalar, number) pairs.
fn edges(prevs: &Bound<'_, PyAny>) -> PyResult<Vec<Edge>> {
    let wrong = |got: &Bound<'_, PyAny>| {
        let got = got.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!("Scalar: prevs must be a list of Edge(prev, local_grad), got {got} in it"))
    };
    let mut edges = Vec::new();
    for item in prevs.try_iter()? {
        let item = item?;
        let Ok((prev, slope)) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else {
            return Err(wrong(&item));
        };
        let prev = node(prev.cast::<PyScalar>().map_err(|_| wrong(&prev))?);
        edges.push(Edge { prev, local_grad: required(&slope, "local_grad")? });
    }
    Ok(edges)
}

/// A number that remembers how it was computed, for derivatives by hand-size graphs.
///
/// Values are Python's: floats are float64; ints stay ints as long as they fit 64 bits, and become
/// floats beyond that. Arithmetic follows IEEE 754 where Python would raise OverflowError: too
/// large is inf. Division by zero raises ZeroDivisionError, a logarithm of what is not positive
/// ValueError. `prevs` lists the `Edge(prev, local_grad)` it came from; after `backward()` every
/// node behind it holds its derivative in `backwards_grad`. Scalars are compared and hashed by
/// identity. A copy (`copy`, `deepcopy`, `pickle`) is a leaf: it keeps the value, `backwards_grad`
/// and your own attributes, but not the history. Attributes that you set live as long as a name
/// in your program holds the Scalar.
///
/// >>> a, b = schuss.Scalar(3), schuss.Scalar(4)
/// >>> c = a * b
/// >>> c, c.prevs
/// (Scalar(12), [Edge(prev=Scalar(3), local_grad=4), Edge(prev=Scalar(4), local_grad=3)])
/// >>> c.backward()
/// >>> a.backwards_grad, b.backwards_grad
/// (4, 3)
#[pyclass(frozen, weakref, dict, subclass, name = "Scalar", module = "schuss")]
pub struct PyScalar(Scalar);

impl Drop for PyScalar {
    fn drop(&mut self) {
        self.0.set_face(0);
    }
}

/// The node of `object`, which notes its Python object: so `prevs` gives that very object back.
#[inline]
fn node(object: &Bound<'_, PyScalar>) -> Scalar {
    let node = &object.get().0;
    if node.face() == 0 {
        node.set_face(object.as_ptr() as usize);
    }
    node.clone()
}

/// The Python object of `node`: the living one if there is one.
fn wrap(py: Python<'_>, node: Scalar) -> PyResult<Bound<'_, PyScalar>> {
    let face = node.face() as *mut ffi::PyObject;
    if !face.is_null() {
        // SAFETY: a face is set under the GIL to a live PyScalar and cleared under the GIL by its
        // drop, so its memory is still there; a count of 0 marks an object that is being torn down.
        unsafe {
            if ffi::Py_REFCNT(face) > 0 {
                return Ok(Bound::from_borrowed_ptr(py, face).cast_into_unchecked());
            }
        }
    }
    let object = Bound::new(py, PyScalar(node))?;
    self::node(&object);
    Ok(object)
}

/// A result of an operation on `like`, in its class.
#[inline]
fn answer(like: &Bound<'_, PyScalar>, node: Scalar) -> PyResult<Py<PyAny>> {
    let py = like.py();
    if like.is_exact_instance_of::<PyScalar>() {
        return Ok(Py::new(py, PyScalar(node))?.into_any());
    }
    let class = like.get_type();
    let object = class.call_method1("__new__", (&class, node.value(), listed(py, &node)?))?;
    Ok(object.unbind())
}

#[inline]
fn binary(
    slf: &Bound<'_, PyScalar>,
    other: &Bound<'_, PyAny>,
    rule: impl FnOnce(Scalar, Scalar) -> Result<Scalar, Fault>,
) -> PyResult<Py<PyAny>> {
    match operand(other)? {
        Some(other) => answer(slf, rule(node(slf), other)?),
        None => Ok(slf.py().NotImplemented()),
    }
}

fn listed<'py>(py: Python<'py>, node: &Scalar) -> PyResult<Bound<'py, PyList>> {
    let class = EDGE.get(py).ok_or_else(|| PyTypeError::new_err("Edge is not registered"))?;
    let list = PyList::empty(py);
    for edge in node.edges() {
        list.append(class.bind(py).call1((wrap(py, edge.prev.clone())?, edge.local_grad))?)?;
    }
    Ok(list)
}

#[pymethods]
impl PyScalar {
    #[new]
    #[classmethod]
    #[pyo3(signature = (value, prevs=None, **extra), text_signature = "(value, prevs=None, **extra)")]
    fn new(
        class: &Bound<'_, PyType>,
        value: &Bound<'_, PyAny>,
        prevs: Option<&Bound<'_, PyAny>>,
        extra: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<PyScalar> {
        // A subclass may take keywords of its own in __init__.
        if let Some(extra) = extra
            && class.is(class.py().get_type::<PyScalar>())
        {
            let name = extra.keys().get_item(0)?;
            return Err(PyTypeError::new_err(format!("Scalar: unexpected keyword {name}")));
        }
        let value = required(value, "value")?;
        let edges = prevs.map_or(Ok(Vec::new()), edges)?;
        Ok(PyScalar(Scalar::with_edges(value, edges)))
    }

    // All is done in `new`; but a subclass may call super().__init__(value, prevs).
    #[pyo3(signature = (*_args, **_extra))]
    fn __init__(&self, _args: &Bound<'_, PyAny>, _extra: Option<&Bound<'_, PyDict>>) {}

    /// The number itself; it may be set, and what was computed before keeps its value.
    #[getter]
    fn value(&self) -> Number {
        self.0.value()
    }

    #[setter]
    fn set_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.set_value(required(value, "value")?);
        Ok(())
    }

    /// The derivative of the last `backward()`'s root by this number; 0 before the first.
    #[getter]
    fn backwards_grad(&self) -> Number {
        self.0.grad()
    }

    #[setter]
    fn set_backwards_grad(&self, grad: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.set_grad(required(grad, "backwards_grad")?);
        Ok(())
    }

    /// The edges to what this number was computed from, a new list of `Edge(prev, local_grad)`.
    #[getter]
    fn prevs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        listed(py, &self.0)
    }

    /// Leave the derivative of this number by every node behind it in their `backwards_grad`.
    ///
    /// The graph's gradients are set to zero first, so repeating it changes nothing. Reverse mode,
    /// S. Linnainmaa (1976), Taylor expansion of the accumulated rounding error, BIT 16.
    ///
    /// >>> x = schuss.Scalar(2.0)
    /// >>> (x * x + x).backward()
    /// >>> x.backwards_grad
    /// 5.0
    fn backward(&self) {
        self.0.backward();
    }

    /// Take one step of gradient descent: value -= lr * backwards_grad.
    ///
    /// >>> x = schuss.Scalar(2.0)
    /// >>> (x * x).backward()
    /// >>> x.gradient_update(0.25)
    /// >>> x
    /// Scalar(1.0)
    fn gradient_update(&self, lr: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.gradient_update(required(lr, "lr")?);
        Ok(())
    }

    fn __add__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| Ok(a + b))
    }

    fn __radd__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| Ok(b + a))
    }

    fn __sub__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| Ok(a - b))
    }

    fn __rsub__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| Ok(b - a))
    }

    fn __mul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| Ok(a * b))
    }

    fn __rmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| Ok(b * a))
    }

    fn __truediv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| a.try_div(b))
    }

    fn __rtruediv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, |a, b| b.try_div(a))
    }

    fn __pow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, modulo: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        match modulo {
            None => binary(slf, other, |a, b| a.try_pow(b)),
            Some(_) => Ok(slf.py().NotImplemented()),
        }
    }

    fn __rpow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, modulo: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        match modulo {
            None => binary(slf, other, |a, b| b.try_pow(a)),
            Some(_) => Ok(slf.py().NotImplemented()),
        }
    }

    fn __neg__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        answer(slf, -node(slf))
    }

    /// e to this power.
    ///
    /// >>> schuss.Scalar(0).exp()
    /// Scalar(1.0)
    fn exp(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        answer(slf, node(slf).exp())
    }

    /// The natural logarithm; ValueError where the value is not positive.
    ///
    /// >>> schuss.Scalar(1).log()
    /// Scalar(0.0)
    fn log(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        answer(slf, node(slf).log()?)
    }

    /// The hyperbolic tangent.
    ///
    /// >>> schuss.Scalar(0).tanh()
    /// Scalar(0.0)
    fn tanh(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        answer(slf, node(slf).tanh())
    }

    /// The logistic function 1 / (1 + exp(-x)).
    ///
    /// >>> schuss.Scalar(0).sigmoid()
    /// Scalar(0.5)
    fn sigmoid(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        answer(slf, node(slf).sigmoid())
    }

    /// The larger of this number and 0; its derivative at 0 is 0.
    ///
    /// >>> schuss.Scalar(-3).relu()
    /// Scalar(0)
    fn relu(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        answer(slf, node(slf).relu())
    }

    fn __float__(&self) -> f64 {
        self.0.value().float()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let value = self.0.value().into_pyobject(py)?.repr()?;
        Ok(format!("Scalar({})", value.to_str()?))
    }

    fn __format__<'py>(slf: &Bound<'py, Self>, spec: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if spec.is_empty()? {
            return Ok(slf.repr()?.into_any());
        }
        let value = slf.get().0.value().into_pyobject(slf.py())?;
        value.call_method1(intern!(slf.py(), "__format__"), (spec,))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let slots = PyDict::new(py);
        slots.set_item("backwards_grad", slf.get().0.grad())?;
        let state = (slf.getattr("__dict__")?, slots);
        Ok((slf.get_type(), (slf.get().0.value(),), state).into_pyobject(py)?.into_any())
    }
}

/// Adds `Scalar` and `Edge` to the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    let options = PyDict::new(py);
    options.set_item("module", "schuss")?;
    let collections = py.import("collections")?;
    let edge = collections.call_method("namedtuple", ("Edge", ["prev", "local_grad"]), Some(&options))?;
    edge.setattr("__doc__", EDGE_DOC)?;
    let edge = edge.cast_into::<PyType>()?.unbind();
    m.add("Edge", EDGE.get_or_init(py, || edge))?;
    m.add_class::<PyScalar>()
}
