//! The one error: which operation refused, what it saw, what to do. Leans on std.

use super::DType;
use std::any::Any;
use std::fmt;

/// What kind of mistake it was; the Python door gives each kind its exception class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Sizes that do not fit (ShapeError: RuntimeError and ValueError).
    Shape,
    /// An element type that the operation cannot take (DTypeError: RuntimeError and TypeError).
    DType,
    /// Misuse of the tape (GradError: RuntimeError).
    Grad,
    /// Operands on different devices, or a device that is not there (DeviceError: RuntimeError).
    Device,
    /// A position or an axis out of range (IndexError).
    Index,
    /// A value that makes no sense (ValueError).
    Value,
    /// An argument of the wrong type (TypeError).
    Type,
    /// A wrong state (RuntimeError).
    Runtime,
    /// A matrix that cannot be factored or inverted (LinAlgError: RuntimeError).
    Algebra,
    /// A gradient rule that does not exist (LookupError).
    Lookup,
    /// Something schuss has not got (NotImplementedError).
    Missing,
    /// A step that cannot be recorded (CompileError: RuntimeError).
    Compile,
    /// No memory (MemoryError).
    Memory,
    /// An exception of the host language, carried through unharmed.
    Foreign,
}

/// An error in one pointer, so that results stay in registers on the fast path.
pub struct Error(Box<Facts>);

struct Facts {
    kind: ErrorKind,
    op: String,
    message: String,
    foreign: Option<Box<dyn Any + Send + Sync>>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    #[cold]
    pub fn new(kind: ErrorKind, op: &str, message: impl Into<String>) -> Error {
        Error(Box::new(Facts { kind, op: op.into(), message: message.into(), foreign: None }))
    }
    #[cold]
    pub fn shape(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Shape, op, message)
    }
    #[cold]
    pub fn dtype(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::DType, op, message)
    }
    #[cold]
    pub fn grad(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Grad, op, message)
    }
    #[cold]
    pub fn index(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Index, op, message)
    }
    #[cold]
    pub fn value(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Value, op, message)
    }
    #[cold]
    pub fn type_(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Type, op, message)
    }
    #[cold]
    pub fn runtime(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Runtime, op, message)
    }
    #[cold]
    pub fn algebra(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Algebra, op, message)
    }
    #[cold]
    pub fn memory(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Memory, op, message)
    }
    #[cold]
    pub fn device(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Device, op, message)
    }
    /// An element type in the place of a float; a complex number is not made one by leaving out half of it.
    #[cold]
    pub fn no_float(op: &str, wanted: &str, found: DType) -> Error {
        let advice = if found.is_complex() { "take x.real, x.imag or x.abs(), or view_as_real(x)" } else { "use x.float() first" };
        Error::dtype(op, format!("needs {wanted}, got {found}; {advice}"))
    }
    /// A broken promise of our own.
    #[cold]
    pub fn bug(op: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Runtime, op, format!("{}; this is a bug in schuss, please report it", message.into()))
    }
    #[cold]
    pub fn foreign(payload: Box<dyn Any + Send + Sync>, text: String) -> Error {
        Error(Box::new(Facts { kind: ErrorKind::Foreign, op: String::new(), message: text, foreign: Some(payload) }))
    }
    /// The same error, with the shape that it speaks of.
    #[cold]
    pub fn about(mut self, shape: &[usize]) -> Error {
        self.0.message.push_str(&format!("; the tensor has shape {}", super::shape::show(shape)));
        self
    }
    /// The same error in the name of the operation that was called.
    #[cold]
    pub fn named(mut self, op: &str) -> Error {
        self.0.op = op.into();
        self
    }
    /// The operation that it names; nothing where it names none.
    pub fn op(&self) -> &str {
        &self.0.op
    }
    /// What is said behind the operation's name.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
    pub fn into_foreign(self) -> Option<Box<dyn Any + Send + Sync>> {
        self.0.foreign
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.op.is_empty() { f.write_str(&self.0.message) } else { write!(f, "{}: {}", self.0.op, self.0.message) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}
