//! The text of a tensor: which numbers are shown, how wide, and where the lines break.
//! Leans on base's number: a tensor is given as a shape and a function from an index to a number.

use crate::base::Number;
use std::iter::repeat_n;

/// The families of element, which are formatted differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float,
    /// Both parts, each in a style of its own.
    Complex,
    Integer,
    Bool,
}

/// What `set_printoptions` sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Digits after the point of a float.
    pub precision: usize,
    /// Tensors with more elements than this are shown by their edges.
    pub threshold: usize,
    /// Elements shown at each end of an axis of such a tensor.
    pub edgeitems: usize,
    /// Characters a line should not pass.
    pub linewidth: usize,
    /// Scientific notation always, never, or (`None`) where the values ask for it.
    pub sci_mode: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Options { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80, sci_mode: None }
    }
}

/// A tensor to print; only the elements that are shown are read.
pub struct Source<'a> {
    pub kind: Kind,
    pub shape: &'a [usize],
    pub at: &'a dyn Fn(&[usize]) -> Number,
}

/// The bracketed numbers alone; `indent` is how many characters stand before the first bracket.
pub fn body(source: &Source, options: &Options, indent: usize) -> String {
    if source.shape.contains(&0) {
        return "[]".to_owned();
    }
    let elements = source.shape.iter().fold(1usize, |n, &size| n.saturating_mul(size));
    let page = Page { source, options, summarised: elements > options.threshold };
    let mut numbers = Vec::new();
    page.gather(0, &mut vec![0; source.shape.len()], &mut numbers);
    let style = match source.kind {
        Kind::Complex => Look::pair(&numbers, options),
        kind => Look { first: Style::choose(kind, &numbers, options), second: None },
    };
    let mut text = String::new();
    page.write(0, indent, &style, &mut numbers.into_iter(), &mut text);
    text
}

/// `tensor([...], suffix, suffix)`.
pub fn tensor(source: &Source, options: &Options, suffixes: &[String]) -> String {
    call("tensor(", source, options, suffixes)
}

/// The same with another opening, such as a subclass's `Mask(`; the numbers line up behind it.
pub fn call(opening: &str, source: &Source, options: &Options, suffixes: &[String]) -> String {
    let indent = opening.chars().count();
    let mut text = opening.to_owned() + &body(source, options, indent);
    // The tally of a line is two more than its characters when it is the first line and one more
    // otherwise; PyTorch counts so, and a suffix near the margin shows it.
    let mut column = match text.rsplit_once('\n') {
        Some((_, last)) => last.chars().count() + 2,
        None => text.chars().count() + 2,
    };
    for suffix in suffixes {
        let width = suffix.chars().count();
        if column + width + 2 > options.linewidth {
            text.push_str(",\n");
            text.extend(repeat_n(' ', indent));
            column = indent + width;
        } else {
            text.push_str(", ");
            column += width + 2;
        }
        text.push_str(suffix);
    }
    text.push(')');
    text
}

/// One tensor with what decides how much of it is shown.
struct Page<'a> {
    source: &'a Source<'a>,
    options: &'a Options,
    summarised: bool,
}

impl Page<'_> {
    /// The positions shown along an axis; `None` stands for the dots.
    fn shown(&self, axis: usize) -> impl Iterator<Item = Option<usize>> + use<> {
        let size = self.source.shape[axis];
        let edge = self.options.edgeitems;
        let cut = self.summarised && size > edge.saturating_mul(2);
        let (head, tail) = if cut { (edge, size - edge) } else { (size, size) };
        (0..head).map(Some).chain(cut.then_some(None)).chain((tail..size).map(Some))
    }

    /// Reads the shown elements in the order in which they are written.
    fn gather(&self, axis: usize, index: &mut [usize], numbers: &mut Vec<Number>) {
        if axis == index.len() {
            numbers.push((self.source.at)(index));
            return;
        }
        for position in self.shown(axis).flatten() {
            index[axis] = position;
            self.gather(axis + 1, index, numbers);
        }
    }

    fn write(&self, axis: usize, indent: usize, style: &Look, numbers: &mut dyn Iterator<Item = Number>, text: &mut String) {
        let below = match self.source.shape.len() - axis {
            0 => return text.extend(numbers.next().map(|number| style.cell(number))),
            left => left - 1,
        };
        // A vector fills its lines; a higher axis breaks after each item, one blank line per
        // further axis.
        let per_line = match below {
            0 => (self.options.linewidth.saturating_sub(indent) / (style.width() + 2)).max(1),
            _ => 1,
        };
        text.push('[');
        for (place, position) in self.shown(axis).enumerate() {
            if place > 0 && place % per_line == 0 {
                text.push(',');
                text.extend(repeat_n('\n', below.max(1)));
                text.extend(repeat_n(' ', indent + 1));
            } else if place > 0 {
                text.push_str(", ");
            }
            match position {
                Some(_) => self.write(axis + 1, indent + 1, style, numbers, text),
                None if below == 0 && self.options.edgeitems > 0 => text.push_str(" ..."),
                None => text.push_str("..."),
            }
        }
        text.push(']');
    }
}

/// How every element of one tensor is written, and its imaginary part.
struct Look {
    first: Style,
    second: Option<Style>,
}

impl Look {
    fn pair(numbers: &[Number], options: &Options) -> Look {
        let part = |of: fn((f64, f64)) -> f64| {
            let list: Vec<Number> = numbers.iter().map(|n| Number::Float(of(n.pair()))).collect();
            Style::choose(Kind::Float, &list, options)
        };
        Look { first: part(|z| z.0), second: Some(part(|z| z.1)) }
    }

    fn width(&self) -> usize {
        self.first.width + self.second.as_ref().map_or(0, |s| s.width + 1)
    }

    fn cell(&self, number: Number) -> String {
        let Some(second) = &self.second else { return self.first.cell(number) };
        let (re, im) = number.pair();
        let im = second.bare(Number::Float(im));
        let sign = if im.starts_with('-') { "" } else { "+" };
        format!("{}{sign}{im}j", self.first.cell(Number::Float(re)))
    }
}

/// How one part of every element is written.
struct Style {
    form: Form,
    precision: usize,
    width: usize,
}

#[derive(Clone, Copy)]
enum Form {
    /// As it is: integers and truth values.
    Plain,
    /// Floats that are all whole: `3.`
    Whole,
    Fixed,
    Scientific,
}

impl Style {
    /// Zeros, infinities and NaN have no say in the form, nor in the width.
    fn choose(kind: Kind, numbers: &[Number], options: &Options) -> Style {
        let mut style = Style { form: Form::Plain, precision: options.precision, width: 1 };
        let counts = |number: &&Number| match kind {
            Kind::Float => number.float().is_finite() && number.float() != 0.0,
            Kind::Complex | Kind::Integer | Kind::Bool => true,
        };
        if kind == Kind::Float {
            style.form = Form::Whole;
            let (mut least, mut greatest, mut whole) = (f64::INFINITY, 0f64, true);
            for value in numbers.iter().filter(counts).map(Number::float) {
                least = least.min(value.abs());
                greatest = greatest.max(value.abs());
                whole &= value == value.ceil();
            }
            let wide = greatest / least > 1000.0 || greatest > 1.0e8 || least < 1.0e-4;
            if greatest > 0.0 && options.sci_mode.unwrap_or(wide) {
                style.form = Form::Scientific;
            } else if !whole {
                style.form = Form::Fixed;
            }
        }
        for number in numbers.iter().filter(counts) {
            style.width = style.width.max(style.bare(*number).len());
        }
        style
    }

    /// The number at the width of its column.
    fn cell(&self, number: Number) -> String {
        format!("{:>width$}", self.bare(number), width = self.width)
    }

    fn bare(&self, number: Number) -> String {
        let value = number.float();
        match (self.form, number) {
            (Form::Plain, Number::Bool(true)) => "True".to_owned(),
            (Form::Plain, Number::Bool(false)) => "False".to_owned(),
            (Form::Plain, Number::Int(value)) => value.to_string(),
            _ if value.is_nan() => "nan".to_owned(),
            _ if value.is_infinite() => value.to_string(),
            (Form::Whole | Form::Plain, _) => format!("{value:.0}."),
            (Form::Fixed, _) => format!("{value:.*}", self.precision),
            (Form::Scientific, _) => scientific(value, self.precision),
        }
    }
}

/// A sign and at least two digits in the exponent, as C and Python write it.
fn scientific(value: f64, precision: usize) -> String {
    let short = format!("{value:.precision$e}");
    let Some((digits, exponent)) = short.split_once('e') else {
        return short;
    };
    match exponent.strip_prefix('-') {
        Some(size) => format!("{digits}e-{size:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

impl Number {
    fn float(&self) -> f64 {
        match *self {
            Number::Float(value) | Number::Complex(value, _) => value,
            Number::Int(value) => value as f64,
            Number::Bool(value) => f64::from(u8::from(value)),
        }
    }
}
