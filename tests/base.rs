//! The laws of base densities: normalisation, draws that follow the density, slopes against central differences, model files.

mod common;

use common::*;
use flowdistill::evaluate::correction::Proposal;
use flowdistill::evaluate::draws::log_weights_at;
use flowdistill::flow::{
    Base, BaseConfig, Flow, FlowConfig, Limited, Mixture, MixtureBase, Model, Normal, Orientation, Standardisation,
    StudentT, StudentTBase,
};
use flowdistill::params::Parameters;
use flowdistill::seed::Seed;
use flowdistill::target::Gaussian;
use flowdistill::train::{Objective, ReverseKl};
use std::sync::Arc;

/// The bases that are tested, in one dimension or more, with parameters off their start.
fn bases(dim: usize) -> Vec<(String, Box<dyn Base>)> {
    let raws = [0.5, 1.0, 2.0, 7.5, 300.0].map(StudentT::raw);
    let mut bases: Vec<(String, Box<dyn Base>)> = Vec::new();
    for first in 0..raws.len() {
        let raw: Vec<f64> = (0..dim).map(|j| raws[(first + j) % raws.len()]).collect();
        bases.push((format!("Student-t, from {first}"), Box::new(StudentT::new(&raw))));
    }
    bases.push(("mixture".into(), Box::new(mixture(dim, &mixture_parameters(dim)))));
    let heavy = StudentT::new(&vec![StudentT::raw(2.0); dim]);
    let inner: [(&str, f64, Arc<dyn Base>); 4] = [
        ("normal", 1.0, Arc::new(Normal { dim })),
        ("Student-t", 1.5, Arc::new(heavy.clone())),
        ("Student-t, far out", 20.0, Arc::new(heavy)),
        ("mixture", 3.0, Arc::new(mixture(dim, &mixture_parameters(dim)))),
    ];
    for (name, limit, base) in inner {
        bases.push((format!("{name}, drawn in"), Box::new(Limited::new(base, limit))));
    }
    bases
}

/// Means, log scales and logits of three components, one after another.
fn mixture_parameters(dim: usize) -> Vec<f64> {
    let mut parameters = normal_rows(1, 6 * dim + 3, "mixture");
    parameters[..3 * dim].iter_mut().for_each(|mean| *mean *= 3.0);
    parameters
}

fn mixture(dim: usize, parameters: &[f64]) -> Mixture {
    Mixture::new(dim, &parameters[..3 * dim], &parameters[3 * dim..6 * dim], &parameters[6 * dim..])
}

/// ∫ f over the real line by the midpoint rule in z = sinh(t).
fn integral(f: impl Fn(f64) -> f64) -> f64 {
    let (n, range) = (200_000, 90.0);
    let h = 2.0 * range / f64::from(n);
    let at = |i: i32| -range + (f64::from(i) + 0.5) * h;
    (0..n).map(|i| f(at(i).sinh()) * at(i).cosh() * h).sum()
}

#[test]
fn densities_of_one_coordinate_integrate_to_one() {
    for (name, base) in bases(1) {
        let total = integral(|z| base.log_prob(&[z]).exp());
        assert!((total - 1.0).abs() < 1e-6, "{name}: {total}");
    }
}

#[test]
fn draws_follow_the_density() {
    let rows = 20_000;
    for (name, base) in bases(1) {
        let width = base.noise_width();
        let noise = normal_rows(rows, width, &name);
        let mut points = vec![0.0; rows];
        points.chunks_exact_mut(1).zip(noise.chunks_exact(width)).for_each(|(z, noise)| base.push(noise, z));
        points.sort_by(f64::total_cmp);
        // The density is summed up on sinh-spaced points.
        let (n, range) = (400_000, 45.0);
        let h = 2.0 * range / f64::from(n);
        let (mut sum, mut next, mut worst) = (0.0, 0, 0.0f64);
        for i in 0..n {
            let t = -range + (f64::from(i) + 0.5) * h;
            sum += base.log_prob(&[t.sinh()]).exp() * t.cosh() * h;
            while next < rows && points[next] <= (t + 0.5 * h).sinh() {
                worst = worst.max((sum - next as f64 / rows as f64).abs());
                next += 1;
            }
        }
        // Kolmogorov's distribution: exceeded by one sample in 10⁵, and there are 10.
        assert!(worst < 2.47 / (rows as f64).sqrt(), "{name}: {worst}");
    }
}

#[test]
fn scores_and_slopes_are_central_differences() {
    for dim in [1, 3] {
        for (name, base) in bases(dim) {
            let z = normal_rows(1, dim, &name);
            let mut score = vec![0.0; dim];
            base.score(&z, &mut score);
            for j in 0..dim {
                let at = |shift: f64| {
                    let mut moved = z.clone();
                    moved[j] += shift;
                    base.log_prob(&moved)
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((score[j] - difference).abs() < 1e-6 * (1.0 + difference.abs()), "{name}: score {j}");
            }
        }
    }
    for (freedom, limit) in [(0.5, None), (2.0, None), (40.0, None), (2.0, Some(1.0)), (0.5, Some(30.0))] {
        let student_t = |raw: f64| -> Arc<dyn Base> {
            let plain = Arc::new(StudentT::new(&[raw]));
            limit.map_or(plain.clone(), |limit| Arc::new(Limited::new(plain, limit)))
        };
        let raw = StudentT::raw(freedom);
        for row in 0..50 {
            let noise = normal_rows(1, 2, &format!("{freedom} {row}"));
            let at = |shift: f64| {
                let (base, mut z) = (student_t(raw + shift), [0.0]);
                base.push(&noise, &mut z);
                z[0]
            };
            let (mut slope, mut place) = ([0.0], [9]);
            student_t(raw).push_slopes(0, &noise, &mut place, &mut slope);
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope[0] - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{freedom}: {slope:?} {difference}"
            );
            assert_eq!(place[0], 0);
            let at = |shift: f64| student_t(raw + shift).log_prob(&noise[..1]);
            student_t(raw).log_prob_slopes(&noise[..1], &mut slope);
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!(
                (slope[0] - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{freedom}: {slope:?} {difference}"
            );
        }
    }
}

#[test]
fn slopes_of_a_mixture_are_central_differences() {
    for dim in [1, 3] {
        let parameters = mixture_parameters(dim);
        for row in 0..20 {
            let noise = normal_rows(1, dim + 1, &format!("noise {row}"));
            let base = mixture(dim, &parameters);
            let mut z = vec![0.0; dim];
            base.push(&noise, &mut z);
            let mut slopes = vec![0.0; parameters.len()];
            base.log_prob_slopes(&z, &mut slopes);
            let mut of_push = vec![vec![0.0; dim]; parameters.len()];
            for (tensor, first) in [0, 3 * dim].into_iter().enumerate() {
                let (mut places, mut slopes) = (vec![0; dim], vec![0.0; dim]);
                base.push_slopes(tensor, &noise, &mut places, &mut slopes);
                (0..dim).for_each(|j| of_push[first + places[j]][j] = slopes[j]);
            }
            for p in 0..parameters.len() {
                let moved = |shift: f64| {
                    let mut moved = parameters.clone();
                    moved[p] += shift;
                    mixture(dim, &moved)
                };
                let difference = (moved(1e-5).log_prob(&z) - moved(-1e-5).log_prob(&z)) / 2e-5;
                assert!(disagreement([slopes[p]], [difference]) < 1e-6, "parameter {p}: {} {difference}", slopes[p]);
                let (mut up, mut down) = (vec![0.0; dim], vec![0.0; dim]);
                moved(1e-5).push(&noise, &mut up);
                moved(-1e-5).push(&noise, &mut down);
                let differences = up.iter().zip(&down).map(|(up, down)| (up - down) / 2e-5);
                assert!(disagreement(of_push[p].clone(), differences) < 1e-6, "push, parameter {p}");
            }
        }
    }
}

#[test]
fn a_mixture_is_fitted_to_draws_of_its_like() {
    // Four modes, two of them heavy, with scales of their own.
    let centres = [[-6.0, 0.0], [6.0, 0.0], [0.0, 7.0], [0.0, -7.0]];
    let normals = normal_rows(5000, 2, "draws");
    let draws: Vec<f64> = normals
        .chunks(2)
        .enumerate()
        .flat_map(|(row, z)| {
            let k = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3][row % 10];
            [centres[k][0] + z[0], centres[k][1] + 0.5 * z[1]]
        })
        .collect();
    let config = FlowConfig {
        layers: 1.into(),
        base: BaseConfig::Mixture(MixtureBase { components: 4 }),
        ..FlowConfig::default()
    };
    for orientation in [Orientation::Density, Orientation::Sampling] {
        let mut flow =
            Flow::<f32, dfdx::prelude::Cpu>::new(&Default::default(), 2, &config, orientation, &Seed(1).stream("init"))
                .expect("a flow");
        flow.start(&draws, &Seed(1).stream("fit")).expect("fitted");
        let snapshot = flow.snapshot();
        let [means, log_scales, logits] = &snapshot[snapshot.len() - 3..] else { panic!("three tensors") };
        for (k, weight) in [0.3, 0.2, 0.4, 0.1].into_iter().enumerate() {
            let near = |found: &usize| (0..2).all(|j| (f64::from(means[2 * found + j]) - centres[k][j]).abs() < 0.15);
            let found = (0..4).find(near).unwrap_or_else(|| panic!("no component at mode {k}: {means:?}"));
            let total: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
            assert!((f64::from(logits[found]).exp() / total - weight).abs() < 0.02, "weight of mode {k}");
            for (j, scale) in [1.0f64, 0.5].into_iter().enumerate() {
                assert!((f64::from(log_scales[2 * found + j]) - scale.ln()).abs() < 0.1, "scale of mode {k}");
            }
        }
    }
}

#[test]
fn a_mixture_begins_with_a_component_for_each_group_of_draws() {
    // Two narrow modes beside one another, aslant: along each axis alone they look like one.
    let normals = normal_rows(900, 2, "groups");
    let draws: Vec<f64> = (normals.chunks(2).enumerate())
        .flat_map(|(row, z)| {
            let side = if row < 600 { 0.3 } else { -0.3 };
            [z[0] + side, z[0] - side + 0.1 * z[1]]
        })
        .collect();
    let base = BaseConfig::Mixture(MixtureBase { components: 2 });
    let config = FlowConfig { layers: 1.into(), base, ..FlowConfig::default() };
    let mut flow = Flow::<f32, dfdx::prelude::Cpu>::new(
        &Default::default(),
        2,
        &config,
        Orientation::Sampling,
        &Seed(1).stream("init"),
    )
    .expect("a flow");
    flow.start_in_groups(&draws, &[600, 300], &Seed(1).stream("fit")).expect("fitted");
    let snapshot = flow.snapshot();
    let [means, log_scales, logits] = &snapshot[snapshot.len() - 3..] else { panic!("three tensors") };
    for (found, right) in means.iter().zip([0.3, -0.3, -0.3, 0.3]) {
        assert!((found - right).abs() < 0.15, "{means:?}");
    }
    // As wide as one coordinate may be where the other is held: Σ = (1, 1; 1, 1.01), whose inverse has 101 and 100 on its diagonal. Draws of
    // components as wide as the modes look along an axis would lie up to ten deviations outside.
    assert!(log_scales.iter().all(|log_scale| (log_scale - 0.1f32.ln()).abs() < 0.15), "{log_scales:?}");
    assert!((logits[0] - logits[1] - 2f32.ln()).abs() < 1e-5, "{logits:?}");
}

#[test]
fn reverse_kl_has_the_gradient_of_its_loss_in_the_parameters_of_the_base() {
    let gaussian = Gaussian::conditioned(3, 10.0, 1).expect("a gaussian");
    for base in
        [BaseConfig::StudentT(StudentTBase { freedom: 4.0 }), BaseConfig::Mixture(MixtureBase { components: 4 })]
    {
        let config = FlowConfig { layers: 2.into(), hidden: vec![8], base, ..FlowConfig::default() };
        let mut flow = random_flow::<f32>(3, &config, Orientation::Sampling);
        let mut objective = ReverseKl::new(&gaussian, Standardisation::identity(3), 64, Seed(1).stream("noise"));
        let weights = flow.snapshot();
        let (mut gradients, mut unused) = (weights.clone(), weights.clone());
        objective.evaluate(&flow, 5, &mut gradients).expect("evaluated");
        let names: Vec<String> = flow.parameters().into_iter().map(|(name, _)| name).collect();
        for (t, name) in names.iter().enumerate().filter(|(_, name)| name.starts_with("base.")) {
            for (i, &gradient) in gradients[t].iter().enumerate() {
                let mut at = |shift: f32| {
                    let mut moved = weights.clone();
                    moved[t][i] += shift;
                    flow.restore(&moved);
                    objective.evaluate(&flow, 5, &mut unused).expect("evaluated").loss
                };
                // Richardson's extrapolation, so that steps can be long against the rounding of single precision.
                let mut slope = |h: f32| (at(h) - at(-h)) / f64::from(2.0 * h);
                let difference = (4.0 * slope(0.004) - slope(0.008)) / 3.0;
                let error = (f64::from(gradient) - difference).abs();
                assert!(error < 1e-3 * (1.0 + difference.abs()), "{name}, {i}: {gradient}, {difference}");
            }
        }
    }
}

#[test]
fn draws_far_out_are_finite() {
    let base = StudentT::new(&[StudentT::raw(0.5), StudentT::raw(1000.0), 200.0]);
    let mut z = [0.0; 3];
    base.push(&[8.5, 0.0, 8.5, 0.0, 8.5, 0.0], &mut z);
    assert!(z.iter().all(|z| z.is_finite() && *z > 8.0), "{z:?}");
    let mut score = [0.0; 3];
    base.score(&z, &mut score);
    assert!(base.log_prob(&z).is_finite() && score.iter().all(|s| s.is_finite()));
}

#[test]
fn a_limit_draws_extremes_in_and_leaves_the_rest() {
    let plain = StudentT::new(&[StudentT::raw(0.5), StudentT::raw(0.5)]);
    let limited = Limited::new(Arc::new(plain.clone()), 20.0);
    let (mut free, mut drawn_in) = ([0.0; 2], [0.0; 2]);
    let noise = [8.0, 0.0, 0.1, 0.0];
    plain.push(&noise, &mut free);
    limited.push(&noise, &mut drawn_in);
    assert!(free[0] > 1e25 && drawn_in[0] < 1500.0, "{free:?} {drawn_in:?}");
    assert!((free[1] - drawn_in[1]).abs() < 1e-5, "{free:?} {drawn_in:?}");
    assert!(limited.log_prob(&drawn_in).is_finite());
    // Far out, where z² overflows, the density still is what it is: that of a tail e^(−ν y/L).
    let fall = limited.log_prob(&[20.0 * 500.0, 0.0]) - limited.log_prob(&[20.0 * 600.0, 0.0]);
    assert!((fall - 0.5 * 100.0).abs() < 1e-6, "{fall}");
    let mut score = [0.0; 2];
    limited.score(&[20.0 * 500.0, 0.0], &mut score);
    assert!((score[0] + 0.5 / 20.0).abs() < 1e-9 && score[1] == 0.0, "{score:?}");
    // So far out that sinh overflows, there is no density, and no NaN.
    assert_eq!(limited.log_prob(&[1e6, 0.0]), f64::NEG_INFINITY);
    assert_eq!(Limited::new(Arc::new(Normal { dim: 1 }), 1.0).log_prob(&[1e3]), f64::NEG_INFINITY);
}

fn model(base: BaseConfig) -> Model {
    let config =
        FlowConfig { layers: 2.into(), hidden: vec![7], base, tail_limit: Some(25.0), ..FlowConfig::default() };
    Model {
        flow: random_flow::<f32>(3, &config, Orientation::Sampling),
        standardisation: Standardisation::identity(3),
        names: ["a", "b", "c"].map(String::from).to_vec(),
        columns: Default::default(),
        constraint: Default::default(),
        held_out: Vec::new(),
    }
}

#[test]
fn draws_of_any_base_can_be_corrected() {
    let target = Gaussian::conditioned(3, 10.0, 1).expect("a gaussian");
    for base in [
        BaseConfig::Normal,
        BaseConfig::StudentT(StudentTBase { freedom: 3.0 }),
        BaseConfig::Mixture(MixtureBase { components: 4 }),
    ] {
        let student = model(base).freeze::<f64>();
        for share in [0.0, 0.2] {
            let proposal = Proposal::new(&student, &target, share, Seed(1).stream("proposals"));
            let (points, log_weights) = proposal.draw(0, 40).expect("drawn");
            // Rows do not depend on what is drawn with them.
            let (later, _) = proposal.draw(25, 15).expect("drawn");
            assert_eq!(points[75..], later);
            let weights = log_weights_at(&student, &target, &points).expect("weighed");
            let far = weights.iter().zip(&log_weights).filter(|(a, b)| (*a - *b).abs() > 1e-6).count();
            assert_eq!(far > 0, share > 0.0, "{base:?}, {share}: {far} weights differ");
        }
    }
}

#[test]
fn model_files_carry_the_base() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    for base in
        [BaseConfig::StudentT(StudentTBase { freedom: 3.0 }), BaseConfig::Mixture(MixtureBase { components: 4 })]
    {
        comes_back(&path, &model(base));
    }
}

fn comes_back(path: &std::path::Path, model: &Model) {
    assert_eq!(model.flow.parameter_count(), model.flow.config().parameters(3));
    model.save(path).expect("saved");
    let loaded = Model::load(path).expect("loaded");
    assert_eq!(loaded.flow.config(), model.flow.config());
    assert_eq!(loaded.flow.snapshot(), model.flow.snapshot());
    let draws = |model: &Model| {
        let (mut points, mut log_prob) = (vec![0.0; 30], vec![0.0; 10]);
        let stream = Seed(1).stream("draws");
        model.freeze::<f64>().draw(flowdistill::flow::Method::Cached, &stream, 5, &mut points, &mut log_prob);
        (points, log_prob)
    };
    assert_eq!(draws(model), draws(&loaded));
}

#[test]
fn model_files_of_format_1_have_a_normal_base() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let model = model(BaseConfig::Normal);
    model.save(&path).expect("saved");
    let bytes = std::fs::read(&path).expect("read");
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("metadata");
    let json = &metadata.metadata().as_ref().expect("metadata")["flowdistill"];
    let mut header: serde_json::Value = serde_json::from_str(json).expect("json");
    header["format"] = 1.into();
    header.as_object_mut().expect("fields").remove("checksum").expect("a checksum");
    header["flow"].as_object_mut().expect("a flow").remove("base").expect("a base");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("whole");
    let metadata = std::collections::HashMap::from([("flowdistill".to_string(), header.to_string())]);
    let old = safetensors::serialize(file.tensors(), Some(metadata)).expect("serialised");
    std::fs::write(&path, old).expect("written");
    let loaded = Model::load(&path).expect("loaded");
    assert_eq!(loaded.flow.config().base, BaseConfig::Normal);
    assert_eq!(loaded.flow.snapshot(), model.flow.snapshot());
}

#[test]
fn wrong_bases_are_refused() {
    for freedom in [0.0, -1.0, 0.1, 1e9, f64::NAN, f64::INFINITY] {
        let config = FlowConfig { base: BaseConfig::StudentT(StudentTBase { freedom }), ..FlowConfig::default() };
        let faults = config.faults(3);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("base: freedom is") && faults[0].contains("0.5 to 1000"), "{faults:?}");
    }
    for components in [0, 257, usize::MAX] {
        let config = FlowConfig { base: BaseConfig::Mixture(MixtureBase { components }), ..FlowConfig::default() };
        let faults = config.faults(3);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains("base: components is") && faults[0].contains("1 to 256"), "{faults:?}");
    }
    for limit in [0.0, -3.0, 0.5, 1e7, f64::NAN, f64::INFINITY] {
        let faults = FlowConfig { tail_limit: Some(limit), ..FlowConfig::default() }.faults(3);
        assert!(faults.len() == 1 && faults[0].contains("tail_limit is"), "{faults:?}");
    }
}
