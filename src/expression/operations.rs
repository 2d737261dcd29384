//! The operations on numbers that programs are made of, each with its derivative.

use super::{elementary, operations};
use crate::gamma;

/// An operation on one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unary {
    Negative,
    Exp,
    Log,
    Log1p,
    Expm1,
    Sqrt,
    Tanh,
    Sigmoid,
    Softplus,
    Lgamma,
    Digamma,
    Erf,
    Abs,
    Square,
    Reciprocal,
    Power(f64),
    Sin,
    Cos,
    Atan,
    Not,
}

/// An operation on two numbers; comparisons give 1 or 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Min,
    Max,
    LogAddExp,
    LogRising,
    Less,
    LessEqual,
    Equal,
    NotEqual,
    And,
    Or,
}

/// Calls `$go!(k = constant, x => (value, slope))` for the operation `$f`; no closure, since its code must be inlined to be compiled
/// for wide registers.
macro_rules! with_unary {
    ($f:expr, $go:ident) => {
        match $f {
            Unary::Negative => $go!(_k = 0.0, x => (-x, -1.0)),
            Unary::Exp => $go!(_k = 0.0, x => {
                let value = elementary::exp(x);
                (value, value)
            }),
            Unary::Log => $go!(_k = 0.0, x => (elementary::log(x), 1.0 / x)),
            Unary::Log1p => $go!(_k = 0.0, x => (elementary::log1p(x), 1.0 / (1.0 + x))),
            Unary::Expm1 => $go!(_k = 0.0, x => {
                let value = elementary::expm1(x);
                (value, value + 1.0)
            }),
            Unary::Sqrt => $go!(_k = 0.0, x => {
                let value = x.sqrt();
                (value, 0.5 / value)
            }),
            Unary::Tanh => $go!(_k = 0.0, x => {
                let value = elementary::tanh(x);
                (value, 1.0 - value * value)
            }),
            Unary::Sigmoid => $go!(_k = 0.0, x => {
                let value = elementary::sigmoid(x);
                (value, value * elementary::sigmoid(-x))
            }),
            Unary::Softplus => $go!(_k = 0.0, x => elementary::softplus(x)),
            Unary::Lgamma => $go!(_k = 0.0, x => (libm::lgamma(x), gamma::digamma(x))),
            Unary::Digamma => $go!(_k = 0.0, x => (gamma::digamma(x), gamma::trigamma(x))),
            Unary::Erf => $go!(_k = 0.0, x => (libm::erf(x), std::f64::consts::FRAC_2_SQRT_PI * elementary::exp(-x * x))),
            Unary::Abs => $go!(_k = 0.0, x => (
                x.abs(),
                if x > 0.0 {
                    1.0
                } else if x < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            )),
            Unary::Square => $go!(_k = 0.0, x => (x * x, 2.0 * x)),
            Unary::Reciprocal => $go!(_k = 0.0, x => {
                let value = 1.0 / x;
                (value, -value * value)
            }),
            Unary::Power(k) => $go!(k = k, x => (operations::power(x, k), k * operations::power(x, k - 1.0))),
            Unary::Sin => $go!(_k = 0.0, x => (x.sin(), x.cos())),
            Unary::Cos => $go!(_k = 0.0, x => (x.cos(), -x.sin())),
            Unary::Atan => $go!(_k = 0.0, x => (x.atan(), 1.0 / (1.0 + x * x))),
            Unary::Not => $go!(_k = 0.0, x => (if x == 0.0 { 1.0 } else { 0.0 }, 0.0)),
        }
    };
}
pub(super) use with_unary;

/// Calls `$go!(|a, b| value)` for the operation `$f`.
macro_rules! with_binary {
    ($f:expr, $go:ident) => {
        match $f {
            Binary::Add => $go!(|a: f64, b: f64| a + b),
            Binary::Subtract => $go!(|a: f64, b: f64| a - b),
            Binary::Multiply => $go!(|a: f64, b: f64| a * b),
            Binary::Divide => $go!(|a: f64, b: f64| a / b),
            Binary::Power => $go!(|a: f64, b: f64| a.powf(b)),
            // NaN passes through both.
            Binary::Min => $go!(|a: f64, b: f64| if a < b || a.is_nan() { a } else { b }),
            Binary::Max => $go!(|a: f64, b: f64| if a > b || a.is_nan() { a } else { b }),
            Binary::LogAddExp => $go!(|a: f64, b: f64| elementary::log_add_exp(a, b)),
            Binary::LogRising => $go!(|a: f64, b: f64| gamma::log_rising(a, b)),
            Binary::Less => $go!(|a: f64, b: f64| if a < b { 1.0 } else { 0.0 }),
            Binary::LessEqual => $go!(|a: f64, b: f64| if a <= b { 1.0 } else { 0.0 }),
            Binary::Equal => $go!(|a: f64, b: f64| if a == b { 1.0 } else { 0.0 }),
            Binary::NotEqual => $go!(|a: f64, b: f64| if a != b { 1.0 } else { 0.0 }),
            Binary::And => $go!(|a: f64, b: f64| if a != 0.0 && b != 0.0 { 1.0 } else { 0.0 }),
            Binary::Or => $go!(|a: f64, b: f64| if a != 0.0 || b != 0.0 { 1.0 } else { 0.0 }),
        }
    };
}
pub(super) use with_binary;

/// Calls `$go!(|a, b, value| (slope by a, slope by b))` for the operations that have slopes, but for `LogAddExp` and `LogRising`.
macro_rules! with_binary_slopes {
    ($f:expr, $go:ident) => {
        match $f {
            Binary::Add => $go!(|_a: f64, _b: f64, _v: f64| (1.0, 1.0)),
            Binary::Subtract => $go!(|_a: f64, _b: f64, _v: f64| (1.0, -1.0)),
            Binary::Multiply => $go!(|a: f64, b: f64, _v: f64| (b, a)),
            Binary::Divide => $go!(|_a: f64, b: f64, v: f64| (1.0 / b, -v / b)),
            Binary::Power => $go!(|a: f64, b: f64, v: f64| (
                if b == 0.0 { 0.0 } else { b * a.powf(b - 1.0) },
                if a == 0.0 && b > 0.0 { 0.0 } else { v * a.ln() }
            )),
            Binary::Min => $go!(|a: f64, b: f64, _v: f64| if a < b { (1.0, 0.0) } else { (0.0, 1.0) }),
            Binary::Max => $go!(|a: f64, b: f64, _v: f64| if a > b { (1.0, 0.0) } else { (0.0, 1.0) }),
            _ => {}
        }
    };
}
pub(super) use with_binary_slopes;

/// xᵏ, by multiplication where k is a small whole number.
#[inline]
pub(super) fn power(x: f64, k: f64) -> f64 {
    if k == k.trunc() && k.abs() <= 64.0 {
        x.powi(k as i32)
    } else {
        x.powf(k)
    }
}

impl Unary {
    pub fn of(self, argument: f64) -> f64 {
        macro_rules! go {
            ($k:ident = $constant:expr, $x:ident => $body:expr) => {{
                let ($k, $x): (f64, f64) = ($constant, argument);
                let _ = $k;
                let result: (f64, f64) = $body;
                result.0
            }};
        }
        with_unary!(self, go)
    }
}

impl Binary {
    pub fn of(self, a: f64, b: f64) -> f64 {
        macro_rules! go {
            ($f:expr) => {
                $f(a, b)
            };
        }
        with_binary!(self, go)
    }

    /// Whether the result is a condition, which has no slope.
    pub fn is_condition(self) -> bool {
        use Binary::{And, Equal, Less, LessEqual, NotEqual, Or};
        matches!(self, Less | LessEqual | Equal | NotEqual | And | Or)
    }
}
