//! What an expression is made of, before anything is known of its names.

use super::fault::Span;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub kind: Kind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Number(f64),
    Name(String),
    Negative(Box<Expr>),
    Not(Box<Expr>),
    /// Operators of one precedence from left to right; flat, so that a long sum is not a deep tree.
    Chain(Box<Expr>, Vec<(Operator, Expr)>),
    Power(Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Call(Call),
    List(Vec<Expr>),
    Index(Box<Expr>, Vec<Place>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Product,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    And,
    Or,
}

/// `name(arguments)`, or `name(i in a..b: argument)`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub name: String,
    pub place: Span,
    pub loops: Vec<Loop>,
    pub arguments: Vec<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loop {
    pub name: String,
    pub place: Span,
    pub from: Expr,
    pub to: Expr,
}

/// What stands between the brackets of an index.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    At(Expr),
    Range(Option<Expr>, Option<Expr>, Span),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement {
    /// `name = value`
    Let(String, Span, Expr),
    /// `value ~ distribution(arguments)`
    Drawn(Expr, Call),
    /// A value that is added to the log density.
    Add(Expr),
}
