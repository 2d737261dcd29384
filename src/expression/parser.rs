//! From tokens to statements, by precedence climbing with a limit on nesting.

use super::fault::{Fault, Span};
use super::lexer::{tokens, Token};
use super::syntax::{Call, Expr, Kind, Loop, Operator, Place, Statement};

/// The longest text of an expression, in bytes.
pub(super) const LONGEST: usize = 1 << 18;

/// The deepest nesting of brackets and operators.
const DEEPEST: usize = 100;

/// The most indices behind one another, as in `x[i][j]`.
const MOST_INDICES: usize = 4;

type Parsed<T> = Result<T, Fault>;

/// The statements of `text`.
pub(super) fn parse(text: &str) -> Parsed<Vec<Statement>> {
    if text.len() > LONGEST {
        return Err(Fault::new(
            Span::default(),
            format!("a text of {} bytes; at most {LONGEST} are right", text.len()),
        ));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, text };
    let mut statements: Vec<Statement> = Vec::new();
    loop {
        while parser.token() == Token::Line {
            parser.at += 1;
        }
        if parser.token() == Token::End {
            break;
        }
        parser.refuse_dangling_sign(statements.last())?;
        statements.push(parser.statement()?);
        if !matches!(parser.token(), Token::Line | Token::End) {
            return Err(parser.unexpected("an operator or the end of the line"));
        }
    }
    if statements.is_empty() {
        return Err(Fault::new(Span::default(), "there is nothing; lines that make up the log density are right"));
    }
    Ok(statements)
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, Span)>,
    at: usize,
    depth: usize,
    text: &'a str,
}

/// How strongly an operator binds.
fn precedence(sign: &str) -> Option<(u8, Operator)> {
    Some(match sign {
        "or" => (1, Operator::Or),
        "and" => (2, Operator::And),
        "<" => (4, Operator::Less),
        "<=" => (4, Operator::LessEqual),
        ">" => (4, Operator::Greater),
        ">=" => (4, Operator::GreaterEqual),
        "==" => (4, Operator::Equal),
        "!=" => (4, Operator::NotEqual),
        "+" => (5, Operator::Add),
        "-" => (5, Operator::Subtract),
        "*" => (6, Operator::Multiply),
        "/" => (6, Operator::Divide),
        "@" => (6, Operator::Product),
        _ => return None,
    })
}

const COMPARISON: u8 = 4;
const TERM: u8 = 5;
const FACTOR: u8 = 6;

impl<'a> Parser<'a> {
    fn token(&self) -> Token<'a> {
        self.tokens[self.at].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1
    }

    fn previous(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].1
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token(), Token::Sign(found) if found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    fn unexpected(&self, expected: &str) -> Fault {
        Fault::new(self.span(), format!("found {}, expected {expected}", self.token().describe()))
    }

    fn expect(&mut self, sign: &str, context: &str) -> Parsed<()> {
        if self.take(sign) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{sign}`{context}")))
    }

    /// `x = a` and then a line `- b` could mean either of two things.
    fn refuse_dangling_sign(&self, before: Option<&Statement>) -> Parsed<()> {
        let ended_by_line = self.at > 0 && self.text[self.previous().start..].starts_with('\n');
        match (self.token(), before) {
            (Token::Sign(sign @ ("+" | "-")), Some(Statement::Let(..))) if ended_by_line => Err(Fault::new(
                self.span(),
                format!(
                    "a line that begins with `{sign}`; to go on with the line before, end that with `{sign}` or put \
                     brackets around it; to begin a new term, end that with `;`"
                ),
            )),
            (Token::Sign(sign), _) if precedence(sign).is_some() && !matches!(sign, "+" | "-") => Err(Fault::new(
                self.span(),
                format!("a line cannot begin with `{sign}`; end the line before with it, or put brackets around both"),
            )),
            _ => Ok(()),
        }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        if let (Token::Name(name), Some((Token::Sign("="), _))) = (self.token(), self.tokens.get(self.at + 1)) {
            let place = self.span();
            self.at += 2;
            return Ok(Statement::Let(name.into(), place, self.expression(0)?));
        }
        let value = self.expression(0)?;
        if self.take("~") {
            let (Token::Name(name), place) = (self.token(), self.span()) else {
                return Err(self.unexpected("the name of a distribution"));
            };
            self.advance();
            self.expect("(", " and the distribution's parameters")?;
            let (loops, arguments) = self.arguments()?;
            return match loops.first() {
                Some(first) => Err(Fault::new(first.place, "a distribution takes values, not a loop")),
                None => Ok(Statement::Drawn(value, Call { name: name.into(), place, loops, arguments })),
            };
        }
        if self.is("=") {
            return Err(Fault::new(value.span, "only a name can stand before `=`; `==` compares"));
        }
        Ok(Statement::Add(value))
    }

    fn expression(&mut self, least: u8) -> Parsed<Expr> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let message = format!("nested deeper than {DEEPEST}; a name for an inner part is right");
            return Err(Fault::new(self.span(), message));
        }
        let parsed = self.operators(least);
        self.depth -= 1;
        parsed
    }

    fn operators(&mut self, least: u8) -> Parsed<Expr> {
        let mut left = self.unary()?;
        // The level of the chain that `left` is, so that equals are appended and not nested.
        let mut level = None;
        while let Token::Sign(sign) = self.token() {
            let Some((binds, operator)) = precedence(sign).filter(|(binds, _)| *binds >= least) else { break };
            let place = self.span();
            self.advance();
            let right = self.expression(binds + 1)?;
            let span = left.span.to(right.span);
            if level == Some(COMPARISON) && binds == COMPARISON {
                return Err(Fault::new(place, "comparisons cannot be chained; `a < b and b < c` is right"));
            }
            left = match left.kind {
                Kind::Chain(first, mut rest) if level == Some(binds) => {
                    rest.push((operator, right));
                    Expr { kind: Kind::Chain(first, rest), span }
                }
                kind => {
                    let first = Box::new(Expr { kind, span: left.span });
                    Expr { kind: Kind::Chain(first, vec![(operator, right)]), span }
                }
            };
            level = Some(binds);
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        if self.take("-") {
            let inner = self.expression(FACTOR + 1)?;
            let span = start.to(inner.span);
            return Ok(Expr { kind: Kind::Negative(Box::new(inner)), span });
        }
        if self.take("+") {
            return self.expression(FACTOR + 1);
        }
        if self.take("not") {
            let inner = self.expression(COMPARISON)?;
            let span = start.to(inner.span);
            return Ok(Expr { kind: Kind::Not(Box::new(inner)), span });
        }
        if self.take("if") {
            let condition = self.expression(0)?;
            self.expect("then", " after the condition of `if`")?;
            let yes = self.expression(0)?;
            self.expect("else", ": an `if` needs a value for both cases")?;
            let no = self.expression(0)?;
            let span = start.to(no.span);
            return Ok(Expr { kind: Kind::If(Box::new(condition), Box::new(yes), Box::new(no)), span });
        }
        let base = self.postfix()?;
        if self.take("^") {
            // The exponent may have a sign, and powers are taken from the right: 2^-x^2 is 2^(-(x^2)).
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(Fault::new(self.span(), format!("nested deeper than {DEEPEST}")));
            }
            let exponent = self.unary()?;
            self.depth -= 1;
            let span = base.span.to(exponent.span);
            return Ok(Expr { kind: Kind::Power(Box::new(base), Box::new(exponent)), span });
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let mut value = self.primary()?;
        for count in 0.. {
            let start = self.span();
            if !self.take("[") {
                break;
            }
            if count == MOST_INDICES {
                return Err(Fault::new(start, format!("more than {MOST_INDICES} indices behind one another")));
            }
            let mut places = Vec::new();
            loop {
                places.push(self.place()?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect("]", " after an index")?;
            let span = value.span.to(self.previous());
            value = Expr { kind: Kind::Index(Box::new(value), places), span };
        }
        Ok(value)
    }

    fn place(&mut self) -> Parsed<Place> {
        let start = self.span();
        let ends = |parser: &Self| parser.is("]") || parser.is(",");
        if self.take("..") {
            let to = if ends(self) { None } else { Some(self.expression(TERM)?) };
            return Ok(Place::Range(None, to, start.to(self.previous())));
        }
        let from = self.expression(TERM)?;
        if self.take("..") {
            let to = if ends(self) { None } else { Some(self.expression(TERM)?) };
            return Ok(Place::Range(Some(from), to, start.to(self.previous())));
        }
        Ok(Place::At(from))
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        match self.token() {
            Token::Number(value) => {
                self.advance();
                Ok(Expr { kind: Kind::Number(value), span: start })
            }
            Token::Name(name) => {
                self.advance();
                if !self.take("(") {
                    return Ok(Expr { kind: Kind::Name(name.into()), span: start });
                }
                let (loops, arguments) = self.arguments()?;
                let call = Call { name: name.into(), place: start, loops, arguments };
                Ok(Expr { kind: Kind::Call(call), span: start.to(self.previous()) })
            }
            Token::Sign("(") => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect(")", " to close the bracket")?;
                Ok(Expr { kind: inner.kind, span: start.to(self.previous()) })
            }
            Token::Sign("[") => {
                self.advance();
                let mut items = Vec::new();
                while !self.is("]") {
                    items.push(self.expression(0)?);
                    if !self.take(",") {
                        break;
                    }
                }
                self.expect("]", " or `,` in a list")?;
                Ok(Expr { kind: Kind::List(items), span: start.to(self.previous()) })
            }
            _ => Err(self.unexpected("a number, a name, `(`, `[`, `if` or `-`")),
        }
    }

    /// What stands between the brackets of a call, the opening one taken.
    fn arguments(&mut self) -> Parsed<(Vec<Loop>, Vec<Expr>)> {
        let mut loops = Vec::new();
        while let (Token::Name(name), Some((Token::Sign("in"), _))) = (self.token(), self.tokens.get(self.at + 1)) {
            let place = self.span();
            self.at += 2;
            let from = self.expression(TERM)?;
            self.expect("..", " in a range such as `0..n`")?;
            let to = self.expression(TERM)?;
            loops.push(Loop { name: name.into(), place, from, to });
            if !self.take(",") {
                break;
            }
        }
        if !loops.is_empty() {
            self.expect(":", " and what is taken for each number of the range")?;
        }
        let mut arguments = Vec::new();
        while !self.is(")") {
            arguments.push(self.expression(0)?);
            if !self.take(",") {
                break;
            }
        }
        self.expect(")", " or `,` after an argument")?;
        Ok((loops, arguments))
    }
}
