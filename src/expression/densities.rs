//! Calls of distributions: their arguments checked, their formulae put in place.

use super::distributions::{self, Distribution, Domain, DISTRIBUTIONS};
use super::fault::{advice, at, Fault, Lowered, Span};
use super::graph::Value;
use super::lower::Lowering;
use super::operations::Binary;
use super::parser;
use super::syntax::Call;

impl Lowering<'_> {
    /// The log density `name(x, …)`, place by place; `drawn` is the form `x ~ name(…)`.
    pub(super) fn distribution(&mut self, call: &Call, arguments: &[(Value, Span)], drawn: bool) -> Lowered<Value> {
        let name = &call.name;
        let Some(distribution) = distributions::find(name) else {
            let legal = DISTRIBUTIONS.iter().map(|distribution| distribution.name);
            return Err(Fault::new(call.place, format!("there is no distribution `{name}`{}", advice(name, legal))));
        };
        let shown = if drawn { &distribution.arguments[1..] } else { distribution.arguments };
        let (found, right) = (arguments.len(), distribution.arguments.len());
        if found != right {
            let found = found - usize::from(drawn);
            let (right, about) = (shown.join(", "), distribution.about);
            let message = format!("`{name}` has {found} arguments; {name}({right}) is right ({about})");
            return Err(Fault::new(call.place, message));
        }
        let span = arguments.iter().fold(call.place, |span, (_, other)| span.to(*other));
        for (i, (value, place)) in arguments.iter().enumerate() {
            if value.condition {
                return Err(Fault::new(*place, "found a condition; a number is right"));
            }
            check(distribution, i, value, *place)?;
        }
        shapes(distribution, arguments)?;
        let names = distribution.arguments.iter().map(|name| name.to_string());
        let names = names.zip(arguments.iter().map(|(value, _)| value.clone())).collect();
        let formula = parser::parse(distribution.formula).map_err(|fault| Fault::new(span, fault.message))?;
        let inner = Lowering::new(self.graph, names).formula(&formula);
        let mut value = inner.map_err(|fault| Fault::new(span, fault.message))?;

        // Outside the support the density is zero; with a parameter that should be positive and is not, it has no value.
        let x = &arguments[0].0;
        if x.known().is_none() {
            value = at(span, self.within(distribution, x, value))?;
        }
        for (argument, (scale, _)) in distribution.arguments.iter().zip(arguments) {
            if distribution.positive.contains(argument) && scale.known().is_none() && !scale.positive {
                let zero = Value::number(0.0);
                let holds = at(span, self.graph.binary(Binary::Less, &zero, scale))?;
                let holds = if distribution.joint { at(span, self.everywhere(&holds))? } else { holds };
                value = at(span, self.graph.select(&holds, &value, &Value::number(f64::NAN)))?;
            }
        }
        Ok(value)
    }

    fn within(&mut self, distribution: &Distribution, x: &Value, value: Value) -> super::graph::Made<Value> {
        let (zero, one) = (Value::number(0.0), Value::number(1.0));
        let holds = match distribution.domain {
            Domain::Positive if !x.positive => self.graph.binary(Binary::Less, &zero, x)?,
            Domain::NotNegative if !x.positive => self.graph.binary(Binary::LessEqual, &zero, x)?,
            Domain::Unit => {
                let (low, high) =
                    (self.graph.binary(Binary::Less, &zero, x)?, self.graph.binary(Binary::Less, x, &one)?);
                self.graph.binary(Binary::And, &low, &high)?
            }
            _ => return Ok(value),
        };
        let holds = if distribution.joint { self.everywhere(&holds)? } else { holds };
        self.graph.select(&holds, &value, &Value::number(f64::NEG_INFINITY))
    }

    /// Whether a condition holds in all places of a vector.
    fn everywhere(&mut self, holds: &Value) -> super::graph::Made<Value> {
        let count = holds.own_len() as f64;
        let numbers = Value { condition: false, ..holds.clone() };
        let sum = self.graph.sum(&numbers)?;
        self.graph.binary(Binary::Equal, &sum, &Value::number(count))
    }
}

/// What is known of an argument before any point is.
fn check(distribution: &Distribution, i: usize, value: &Value, place: Span) -> Lowered<()> {
    let (name, argument) = (distribution.name, distribution.arguments[i]);
    let positive = distribution.positive.contains(&argument);
    let discrete = i == 0 && distribution.domain.is_discrete();
    let Some(numbers) = value.known() else {
        if discrete {
            let message = format!("`{argument}` of `{name}` depends on a parameter; counts from the data are right");
            return Err(Fault::new(place, message));
        }
        return Ok(());
    };
    let (holds, right): (Box<dyn Fn(f64) -> bool>, &str) = match (i, positive) {
        (0, _) => (Box::new(|x| distribution.domain.holds(x)), distribution.domain.right()),
        (_, true) => (Box::new(|x| x > 0.0), Domain::Positive.right()),
        _ => return Ok(()),
    };
    match numbers.iter().position(|&x| !holds(x)) {
        Some(at) => {
            let which = if numbers.len() == 1 { String::new() } else { format!(" (place {at})") };
            let message = format!("`{argument}` of `{name}` is {}{which}; {right} is right", numbers[at]);
            Err(Fault::new(place, message))
        }
        None => Ok(()),
    }
}

/// The shapes of the arguments of densities of whole vectors, and counts that exceed their trials.
fn shapes(distribution: &Distribution, arguments: &[(Value, Span)]) -> Lowered<()> {
    let (x, place) = &arguments[0];
    if distribution.joint && (x.dims.len() != 1 || !x.loops.is_empty()) {
        let message = format!("`{}` of {}; a vector outside of loops is right", distribution.name, x.shape());
        return Err(Fault::new(*place, message));
    }
    if distribution.name == "dirichlet" && arguments[1].0.dims != x.dims {
        let message = format!("{} meets {}; a vector of equal length is right", x.shape(), arguments[1].0.shape());
        return Err(Fault::new(arguments[1].1, message));
    }
    if let name @ ("binomial_logit" | "beta_binomial") = distribution.name {
        let (y, n) = (x.known().unwrap_or(&[]), arguments[1].0.known());
        let Some(n) = n else {
            return Err(Fault::new(arguments[1].1, format!("`n` of `{name}` depends on a parameter; data are right")));
        };
        let trials = |i: usize| n[if n.len() == 1 { 0 } else { i.min(n.len() - 1) }];
        let same = n.len() == 1 || n.len() == y.len();
        if let Some(i) =
            y.iter().enumerate().position(|(i, &y)| same && (y > trials(i) || trials(i) != trials(i).trunc()))
        {
            let message = format!("`y` of `{name}` is {} of {} trials (place {i})", y[i], trials(i));
            return Err(Fault::new(*place, message));
        }
    }
    Ok(())
}
