//! From statements to a graph: names, shapes, loops and indices.

use super::distributions;
use super::fault::{advice, at, Fault, Lowered, Span};
use super::functions;
use super::graph::{Graph, Made, Value};
use super::operations::{Binary, Unary};
use super::syntax::{Call, Expr, Kind, Operator, Place, Statement};
use std::collections::BTreeMap;

/// Names that always have a value.
pub(super) const CONSTANTS: [(&str, f64); 2] = [("pi", std::f64::consts::PI), ("inf", f64::INFINITY)];

/// The longest loop.
const LONGEST_LOOP: usize = 1 << 24;

/// What is known at a place of the text.
pub(super) struct Lowering<'g> {
    pub graph: &'g mut Graph,
    names: BTreeMap<String, Value>,
}

impl<'g> Lowering<'g> {
    pub fn new(graph: &'g mut Graph, names: BTreeMap<String, Value>) -> Self {
        Self { graph, names }
    }

    /// What the statements add up to; a number.
    pub fn log_density(&mut self, statements: &[Statement]) -> Lowered<Value> {
        let mut total = Value::number(0.0);
        for statement in statements {
            let (term, span) = match statement {
                Statement::Let(name, place, value) => {
                    let value = self.expression(value)?;
                    self.name(name, *place, value)?;
                    continue;
                }
                Statement::Drawn(value, call) => {
                    let span = value.span.to(call.place);
                    let mut arguments = vec![(self.expression(value)?, value.span)];
                    for argument in &call.arguments {
                        arguments.push((self.expression(argument)?, argument.span));
                    }
                    let places = self.distribution(call, &arguments, true)?;
                    (at(span, self.graph.sum(&places))?, span)
                }
                Statement::Add(value) => (self.expression(value)?, value.span),
            };
            if term.condition || !term.is_scalar() {
                let message = format!("this line is {}; a number to add to the log density is right", term.shape());
                let hint = if term.condition { "" } else { ": `sum(…)` of it, or `… ~ …`" };
                return Err(Fault::new(span, message + hint));
            }
            total = at(span, self.graph.binary(Binary::Add, &total, &term))?;
        }
        Ok(total)
    }

    /// The value of a formula: the sum of its lines, place by place, but for those that name parts of it.
    pub fn formula(&mut self, statements: &[Statement]) -> Lowered<Value> {
        let mut result: Option<Value> = None;
        for statement in statements {
            match statement {
                Statement::Let(name, place, value) => {
                    let value = self.expression(value)?;
                    self.name(name, *place, value)?;
                }
                Statement::Add(value) => {
                    let term = self.expression(value)?;
                    result = Some(match result {
                        Some(sum) => at(value.span, self.graph.binary(Binary::Add, &sum, &term))?,
                        None => term,
                    });
                }
                Statement::Drawn(value, _) => return Err(Fault::new(value.span, "a formula has no `~`")),
            }
        }
        Ok(result.unwrap_or_else(|| Value::number(0.0)))
    }

    fn name(&mut self, name: &str, place: Span, value: Value) -> Lowered<()> {
        if CONSTANTS.iter().any(|(constant, _)| *constant == name) || self.names.contains_key(name) {
            return Err(Fault::new(place, format!("`{name}` has a value already; another name is right")));
        }
        self.names.insert(name.into(), value);
        Ok(())
    }

    pub fn expression(&mut self, expr: &Expr) -> Lowered<Value> {
        let span = expr.span;
        match &expr.kind {
            Kind::Number(x) => Ok(Value::number(*x)),
            Kind::Name(name) => self.look_up(name, span),
            Kind::Negative(x) => {
                let x = self.number(x)?;
                at(span, self.graph.unary(Unary::Negative, &x))
            }
            Kind::Not(x) => {
                let x = self.condition(x)?;
                at(span, self.graph.unary(Unary::Not, &x))
            }
            Kind::Chain(first, rest) => {
                let mut value = self.expression(first)?;
                let mut before = first.span;
                for (operator, right) in rest {
                    let other = self.expression(right)?;
                    value = self.operator(*operator, (&value, before), (&other, right.span))?;
                    before = before.to(right.span);
                }
                Ok(value)
            }
            Kind::Power(base, exponent) => {
                let (base, exponent) = (self.number(base)?, self.number(exponent)?);
                at(span, functions::power(self.graph, &base, &exponent))
            }
            Kind::If(condition, yes, no) => {
                let condition = self.condition(condition)?;
                let (yes_value, no_value) = (self.expression(yes)?, self.expression(no)?);
                if yes_value.condition != no_value.condition {
                    let (found, right) = (no_value.shape(), yes_value.shape());
                    return Err(Fault::new(no.span, format!("found {found} after `else` and {right} after `then`")));
                }
                at(span, self.graph.select(&condition, &yes_value, &no_value))
            }
            Kind::Call(call) => self.call(call, span),
            Kind::List(items) => {
                let items = items.iter().map(|item| self.number(item)).collect::<Lowered<Vec<_>>>()?;
                if items.is_empty() {
                    return Err(Fault::new(span, "an empty list; at least one number is right"));
                }
                if items[0].dims.len() > 1 {
                    return Err(Fault::new(span, "a list of matrices; numbers or vectors are right"));
                }
                at(span, self.graph.stack(&items))
            }
            Kind::Index(base, places) => self.index(base, places, span),
        }
    }

    fn look_up(&self, name: &str, span: Span) -> Lowered<Value> {
        if let Some(value) = self.names.get(name) {
            return Ok(value.clone());
        }
        if let Some((_, x)) = CONSTANTS.iter().find(|(constant, _)| *constant == name) {
            return Ok(Value::number(*x));
        }
        let message = if functions::names().any(|function| function == name) {
            format!("`{name}` is a function; `{name}(…)` is right")
        } else {
            format!("nothing is called `{name}`{}", advice(name, self.legal()))
        };
        Err(Fault::new(span, message))
    }

    fn legal(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str).chain(CONSTANTS.iter().map(|(name, _)| *name))
    }

    fn number(&mut self, expr: &Expr) -> Lowered<Value> {
        let value = self.expression(expr)?;
        if value.condition {
            let right = "a number is right; `if … then 1 else 0` makes one";
            return Err(Fault::new(expr.span, format!("found a condition; {right}")));
        }
        Ok(value)
    }

    fn condition(&mut self, expr: &Expr) -> Lowered<Value> {
        let value = self.expression(expr)?;
        if !value.condition {
            let message = format!("found {}; a condition such as `x > 0` is right", value.shape());
            return Err(Fault::new(expr.span, message));
        }
        Ok(value)
    }

    fn operator(&mut self, operator: Operator, a: (&Value, Span), b: (&Value, Span)) -> Lowered<Value> {
        let wants_conditions = matches!(operator, Operator::And | Operator::Or);
        for (value, span) in [a, b] {
            if value.condition != wants_conditions {
                let right = if wants_conditions { "a condition such as `x > 0` is right" } else { "a number is right" };
                return Err(Fault::new(span, format!("found {}; {right}", value.shape())));
            }
        }
        let span = a.1.to(b.1);
        let (f, left, right) = match operator {
            Operator::Add => (Binary::Add, a.0, b.0),
            Operator::Subtract => (Binary::Subtract, a.0, b.0),
            Operator::Multiply => (Binary::Multiply, a.0, b.0),
            Operator::Divide => (Binary::Divide, a.0, b.0),
            Operator::Less => (Binary::Less, a.0, b.0),
            Operator::LessEqual => (Binary::LessEqual, a.0, b.0),
            Operator::Greater => (Binary::Less, b.0, a.0),
            Operator::GreaterEqual => (Binary::LessEqual, b.0, a.0),
            Operator::Equal => (Binary::Equal, a.0, b.0),
            Operator::NotEqual => (Binary::NotEqual, a.0, b.0),
            Operator::And => (Binary::And, a.0, b.0),
            Operator::Or => (Binary::Or, a.0, b.0),
            Operator::Product => return at(span, functions::product(self.graph, a.0, b.0)),
        };
        let made = self.graph.binary(f, left, right).map_err(|message| {
            let matrix = a.0.dims.len() == 2 && b.0.dims.len() == 1 && f == Binary::Multiply;
            message + if matrix { "; `@` is the product of a matrix and a vector" } else { "" }
        });
        at(span, made)
    }

    fn call(&mut self, call: &Call, span: Span) -> Lowered<Value> {
        if !call.loops.is_empty() {
            return self.comprehension(call, span);
        }
        let mut arguments = Vec::new();
        for argument in &call.arguments {
            arguments.push((self.number(argument)?, argument.span));
        }
        if distributions::find(&call.name).is_some() {
            return self.distribution(call, &arguments, false);
        }
        functions::call(self.graph, call, &arguments, span)
    }

    /// `f(i in a..b: body)`: the body over a new axis, which `f` then takes away.
    fn comprehension(&mut self, call: &Call, span: Span) -> Lowered<Value> {
        let [body] = &call.arguments[..] else {
            return Err(Fault::new(span, format!("found {} values after `:`; one is right", call.arguments.len())));
        };
        let mut opened = Vec::new();
        for each in &call.loops {
            let (from, to) = (self.whole_number(&each.from)?, self.whole_number(&each.to)?);
            let len = usize::try_from(to - from).unwrap_or(0);
            if len > LONGEST_LOOP {
                return Err(Fault::new(each.place, format!("a loop of {len}; at most {LONGEST_LOOP} is right")));
            }
            at(each.place, self.graph.prepare(len))?;
            self.graph.loops.push(len);
            let id = self.graph.loops.len() - 1;
            let numbers = (0..len).map(|i| (from + i as i64) as f64).collect();
            let value = Value { loops: vec![id], dims: vec![], ..Value::constant(numbers, vec![len]) };
            self.name(&each.name, each.place, value)?;
            opened.push(id);
        }
        let body_value = self.number(body);
        for each in &call.loops {
            self.names.remove(&each.name);
        }
        at(span, functions::over_loops(self.graph, &call.name, body_value?, &opened))
    }

    /// A whole number that is the same for all points and in all loops.
    fn whole_number(&mut self, expr: &Expr) -> Lowered<i64> {
        let value = self.number(expr)?;
        if !value.loops.is_empty() {
            let message =
                "a range that differs from turn to turn of an outer loop; one that is the same for all is right, \
                           and `if … then … else 0` leaves out what is too much";
            return Err(Fault::new(expr.span, message));
        }
        let Some(x) = value.known_number() else {
            let found =
                if value.known().is_some() { value.shape() } else { "something that depends on a parameter".into() };
            return Err(Fault::new(expr.span, format!("found {found}; a whole number from the data is right")));
        };
        if x != x.trunc() || x.abs() > 1e9 {
            return Err(Fault::new(expr.span, format!("found {x}; a whole number is right")));
        }
        Ok(x as i64)
    }

    fn index(&mut self, base_expr: &Expr, places: &[Place], span: Span) -> Lowered<Value> {
        let base = self.number(base_expr)?;
        if places.len() > base.dims.len() {
            let message = format!("found {} indices on {}", places.len(), base.shape());
            return Err(Fault::new(span, message));
        }
        // For each of its own axes: where it starts, and what is left of it.
        let (mut starts, mut dims, mut strides) = (Vec::new(), Vec::new(), Vec::new());
        let own_strides: Vec<usize> = (0..base.dims.len()).map(|k| base.dims[k + 1..].iter().product()).collect();
        let mut loops = base.loops.clone();
        for (axis, &extent) in base.dims.iter().enumerate() {
            match places.get(axis) {
                Some(Place::At(index)) => {
                    let value = self.index_value(index, extent)?;
                    loops.extend(&value.loops);
                    // A vector of places makes an axis of its own.
                    let axis_of_it = value.dims.first().map(|&len| {
                        dims.push(len);
                        strides.push(0);
                        dims.len() - 1
                    });
                    starts.push((value, own_strides[axis], axis_of_it));
                }
                Some(Place::Range(from, to, place)) => {
                    let from = from.as_ref().map_or(Ok(0), |from| self.whole_number(from))?;
                    let to = to.as_ref().map_or(Ok(extent as i64), |to| self.whole_number(to))?;
                    if from < 0 || to < from || to > extent as i64 {
                        let message = format!("the range {from}..{to} of {extent} places; 0..{extent} has them all");
                        return Err(Fault::new(*place, message));
                    }
                    starts.push((Value::number(from as f64), own_strides[axis], None));
                    dims.push((to - from) as usize);
                    strides.push(own_strides[axis]);
                }
                None => {
                    dims.push(extent);
                    strides.push(own_strides[axis]);
                }
            }
        }
        loops.sort_unstable();
        loops.dedup();
        at(span, self.take(&base, loops, dims, &strides, &starts))
    }

    fn take(
        &mut self,
        base: &Value,
        loops: Vec<usize>,
        dims: Vec<usize>,
        strides: &[usize],
        starts: &[(Value, usize, Option<usize>)],
    ) -> Made<Value> {
        let size = self.graph.size(&loops, &dims)?;
        self.graph.prepare(size)?;
        let mut stride: usize = base.dims.iter().product();
        let mut loop_strides = vec![0; loops.len()];
        for &id in base.loops.iter().rev() {
            let axis = loops.iter().position(|&other| other == id).unwrap_or(0);
            loop_strides[axis] = stride;
            stride *= self.graph.loops[id];
        }
        let mut table = super::graph::table(&self.graph.extents(&loops, &dims), &[&loop_strides[..], strides].concat());
        let inner = dims.iter().product::<usize>().max(1);
        for (start, stride, axis) in starts {
            let (len, after) = match axis {
                Some(axis) => (dims[*axis], dims[axis + 1..].iter().product::<usize>().max(1)),
                None => (1, inner),
            };
            let spread = self.graph.spread(start, &loops, &start.dims.clone())?;
            let numbers = spread.known().unwrap_or(&[]);
            for (places, starts) in table.chunks_mut(inner).zip(numbers.chunks(len.max(1))) {
                for (i, place) in places.iter_mut().enumerate() {
                    *place += (starts[i / after % len] as usize * stride) as u32;
                }
            }
        }
        self.graph.gather(base, table, loops, dims)
    }

    /// An index or a vector of them: known, whole, and in range wherever it is used.
    fn index_value(&mut self, expr: &Expr, extent: usize) -> Lowered<Value> {
        let value = self.number(expr)?;
        let Some(numbers) = value.known().filter(|_| value.dims.len() < 2) else {
            let found =
                if value.dims.len() < 2 { "something that depends on a parameter".into() } else { value.shape() };
            return Err(Fault::new(expr.span, format!("the index is {found}; a whole number from the data is right")));
        };
        if let Some(bad) = numbers.iter().find(|&&x| x != x.trunc() || x < 0.0 || x >= extent as f64) {
            let last = extent.saturating_sub(1);
            return Err(Fault::new(
                expr.span,
                format!("the index is {bad}; 0 to {last} are right, as places count from 0"),
            ));
        }
        Ok(value)
    }
}
