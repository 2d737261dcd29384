//! Linear maps one after another as one that no longer learns.

use super::{dense, narrow, LinearMap};
use crate::ops::map::Map;
use crate::ops::real::Real;

impl<E: Real> LinearMap<E> {
    /// These maps of the same columns, one after another.
    fn product(maps: &[Self]) -> Self {
        let (columns, dim) = (maps[0].columns.clone(), maps[0].columns.len());
        let (mut forward, mut backward) = (dense::identity(dim), dense::identity(dim));
        let (mut shift, mut total) = (vec![0.0; dim], 0.0);
        for map in maps {
            let (a, b, log_det) = map.build();
            forward = dense::product(&a, &forward, dim);
            backward = dense::product(&backward, &dense::inverse(&a, dim), dim);
            shift = a.chunks_exact(dim).map(|row| row.iter().zip(&shift).map(|(a, s)| a * s).sum()).collect();
            shift.iter_mut().zip(b).for_each(|(shift, b)| *shift += b);
            total += log_det;
        }
        let [forward, shift, backward] = [forward, shift, backward].map(narrow);
        Self { matrix: None, columns, tensors: Vec::new(), forward, shift, backward: backward.into(), log_det: total }
    }
}

/// The same maps with every run of linear ones folded into one.
pub fn folded<E: Real, M>(maps: Vec<Map<E, M>>) -> Vec<Map<E, M>> {
    let (mut all, mut run) = (Vec::with_capacity(maps.len()), Vec::new());
    let end = |run: &mut Vec<LinearMap<E>>, all: &mut Vec<Map<E, M>>| match run.len() {
        0 | 1 => all.extend(run.drain(..).map(Map::Linear)),
        _ => all.push(Map::Linear(LinearMap::product(&std::mem::take(run)))),
    };
    for map in maps {
        match map {
            Map::Linear(map) => run.push(map),
            other => {
                end(&mut run, &mut all);
                all.push(other);
            }
        }
    }
    end(&mut run, &mut all);
    all
}
