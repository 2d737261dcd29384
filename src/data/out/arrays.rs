//! Names such as `beta[0]`, `beta[1]` put together to the arrays that they are the elements of.

/// A variable: a number, or an array whose elements are columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub name: String,
    /// Empty for a number.
    pub shape: Vec<usize>,
    /// The column of each element, the last index running fastest.
    pub columns: Vec<usize>,
}

/// The variables that columns of these names are: those whose indices fill a box, `theta[0]`, … from 0 or Stan's `theta.1`, … from 1, are one.
pub(super) fn variables(names: &[String]) -> Vec<Variable> {
    let mut variables: Vec<Variable> = Vec::new();
    let mut from = 0;
    while from < names.len() {
        let alone = || Variable { name: names[from].clone(), shape: Vec::new(), columns: vec![from] };
        let Some((base, _)) = element(&names[from]) else {
            variables.push(alone());
            from += 1;
            continue;
        };
        let same = |name: &&String| element(name).is_some_and(|(other, _)| other == base);
        let to = from + names[from..].iter().take_while(same).count();
        let places: Vec<Vec<usize>> = names[from..to].iter().filter_map(|name| Some(element(name)?.1)).collect();
        match array(&places) {
            Some((shape, order)) => {
                let columns = order.into_iter().map(|place| from + place).collect();
                variables.push(Variable { name: base.to_string(), shape, columns });
            }
            None => variables.extend((from..to).map(|column| Variable {
                name: names[column].clone(),
                shape: Vec::new(),
                columns: vec![column],
            })),
        }
        from = to;
    }
    variables
}

/// The array that a name says it is an element of, and where in it, from 0.
fn element(name: &str) -> Option<(&str, Vec<usize>)> {
    if let Some((base, indices)) = name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        let indices: Option<Vec<usize>> = indices.split(',').map(|index| index.trim().parse().ok()).collect();
        return indices.filter(|_| !base.is_empty()).map(|indices| (base, indices));
    }
    let (base, indices) = name.split_once('.')?;
    let indices: Option<Vec<usize>> =
        indices.split('.').map(|index| index.parse::<usize>().ok()?.checked_sub(1)).collect();
    indices.filter(|_| !base.is_empty()).map(|indices| (base, indices))
}

/// The shape that `places` fill, each once, and which of them is each element.
fn array(places: &[Vec<usize>]) -> Option<(Vec<usize>, Vec<usize>)> {
    let rank = places.first()?.len();
    if places.iter().any(|place| place.len() != rank) {
        return None;
    }
    let shape: Vec<usize> =
        (0..rank).map(|axis| places.iter().map(|place| place[axis].saturating_add(1)).max().unwrap_or(0)).collect();
    let elements = shape.iter().try_fold(1usize, |product, &side| product.checked_mul(side));
    if elements != Some(places.len()) {
        return None;
    }
    let mut order = vec![usize::MAX; places.len()];
    for (i, place) in places.iter().enumerate() {
        let flat = place.iter().zip(&shape).fold(0, |flat, (index, side)| flat * side + index);
        order[flat] = i;
    }
    (!order.contains(&usize::MAX)).then_some((shape, order))
}

impl Variable {
    /// The indices of each element, in the order of `columns`.
    pub fn indices(&self) -> Vec<Vec<usize>> {
        let of = |mut flat: usize| {
            let mut indices = vec![0; self.shape.len()];
            for (index, side) in indices.iter_mut().zip(&self.shape).rev() {
                (*index, flat) = (flat % side, flat / side);
            }
            indices
        };
        (0..self.columns.len()).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<(String, Vec<usize>, Vec<usize>)> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        variables(&names).into_iter().map(|v| (v.name, v.shape, v.columns)).collect()
    }

    #[test]
    fn elements_of_an_array_are_one_variable_and_what_fills_no_box_is_not() {
        let is = |name: &str, shape: &[usize], columns: &[usize]| (name.to_string(), shape.to_vec(), columns.to_vec());
        assert_eq!(
            of(&["mu", "beta[0]", "beta[1]", "tau"]),
            [is("mu", &[], &[0]), is("beta", &[2], &[1, 2]), is("tau", &[], &[3])]
        );
        // Stan's order: the first index runs fastest.
        assert_eq!(of(&["L.1.1", "L.2.1", "L.1.2", "L.2.2"]), [is("L", &[2, 2], &[0, 2, 1, 3])]);
        assert_eq!(of(&["a[0]", "a[2]"]), [is("a[0]", &[], &[0]), is("a[2]", &[], &[1])]);
        assert_eq!(of(&["a[0]", "a[0]"]).len(), 2);
        assert_eq!(of(&["sepal.length", "x.0", "[1]", "log(b[0])"]).len(), 4);
        assert_eq!(of(&["y.1"]), [is("y", &[1], &[0])]);
        assert_eq!(of(&["a[0]", "b", "a[1]"]).len(), 3, "only neighbours");
        let whole = variables(&["L.1.1", "L.2.1", "L.1.2", "L.2.2"].map(String::from));
        assert_eq!(whole[0].indices(), [[0, 0], [0, 1], [1, 0], [1, 1]]);
    }
}
