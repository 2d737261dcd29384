//! Models that are given columns: against closed forms, against themselves where what is given is fixed, and what is refused.

mod common;

use common::*;
use flowdistill::evaluate::certificate::Verdict;
use flowdistill::experiment::{run, Folder, Plan, Spec, Watcher};
use flowdistill::flow::{
    Flow, FlowConfig, FrozenModel, Link, Method, Model, Orientation, Pass, Space, Standardisation,
};
use flowdistill::seed::Seed;
use flowdistill::target::{At, Density, Fatal, Faults};
use flowdistill::train::{Contexts, ForwardKl, Gradient, Objective, ReverseKl};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Where the responses are measured, and their standard deviation around the line.
const PLACES: [f64; 4] = [-1.0, -0.3, 0.5, 1.2];
const NOISE: f64 = 0.5;

/// Posterior covariance of intercept and slope (standard normal before), and what makes their mean of the responses.
fn posterior(responses: &[f64]) -> ([f64; 2], [[f64; 2]; 2]) {
    let weight = 1.0 / (NOISE * NOISE);
    let sum = |f: &dyn Fn(usize) -> f64| (0..4).map(f).sum::<f64>();
    let (a, b, c) = (1.0 + 4.0 * weight, weight * sum(&|i| PLACES[i]), 1.0 + weight * sum(&|i| PLACES[i] * PLACES[i]));
    let det = a * c - b * b;
    let covariance = [[c / det, -b / det], [-b / det, a / det]];
    let (u, v) = (weight * sum(&|i| responses[i]), weight * sum(&|i| PLACES[i] * responses[i]));
    let mean = [covariance[0][0] * u + covariance[0][1] * v, covariance[1][0] * u + covariance[1][1] * v];
    (mean, covariance)
}

fn log_posterior(responses: &[f64], x: &[f64]) -> f64 {
    let (mean, [[a, b], [_, c]]) = posterior(responses);
    let (det, u, v) = (a * c - b * b, x[0] - mean[0], x[1] - mean[1]);
    -0.5 * (c * u * u - 2.0 * b * u * v + a * v * v) / det - 0.5 * det.ln() - std::f64::consts::TAU.ln()
}

/// Rows of responses, intercept and slope from the model.
fn pairs(rows: usize, name: &str) -> Vec<[f64; 6]> {
    let normals = normal_rows(rows, 6, name);
    let row = |z: &[f64]| {
        let response = |i: usize| z[4] + z[5] * PLACES[i] + NOISE * z[i];
        [response(0), response(1), response(2), response(3), z[4], z[5]]
    };
    normals.chunks_exact(6).map(row).collect()
}

fn write(path: &Path, header: &str, rows: &[[f64; 6]], columns: std::ops::Range<usize>) {
    let lines = rows.iter().map(|row| {
        let cells: Vec<String> = row[columns.clone()].iter().map(|value| value.to_string()).collect();
        cells.join(",") + "\n"
    });
    std::fs::write(path, format!("{header}\n") + &lines.collect::<String>()).expect("written");
}

struct Silent;

impl flowdistill::train::Observer for Silent {
    fn step(&mut self, _: &flowdistill::train::Progress) {}
}

impl Watcher for Silent {
    fn begin(&mut self, _: &str, _: u64) {}
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
}

/// Runs an experiment in `folder` and gives its models and its record.
fn result_of(folder: &Path, text: &str) -> (Option<Model>, Model, flowdistill::experiment::Record) {
    let spec = Spec::parse(text).expect("an experiment");
    let name = spec.name.clone();
    let plan = Plan::new(spec, &folder.join("it.ron")).expect("a plan");
    let out = Folder::create(&folder.join("runs"), &name, false).expect("a folder");
    let record = run(&plan, text, &out, &AtomicBool::new(false), &mut Silent).expect("a run");
    let load = |file: &str| Model::load(&out.file(file));
    (load("teacher.safetensors").ok(), load("student.safetensors").expect("a student"), record)
}

/// KL(posterior ‖ model) over pairs, in nats.
fn mean_kl(model: &FrozenModel<f64>, rows: &[[f64; 6]]) -> f64 {
    let mut log_prob = vec![0.0; rows.len()];
    model.log_prob(&rows.concat(), &mut log_prob);
    let exact = rows.iter().map(|row| log_posterior(&row[..4], &row[4..]));
    exact.zip(&log_prob).map(|(exact, found)| exact - found).sum::<f64>() / rows.len() as f64
}

#[test]
fn posteriors_of_a_conjugate_regression_are_learned_from_its_energy() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("responses.csv"), "y[0],y[1],y[2],y[3]", &pairs(300, "responses"), 0..4);
    let (_, student, record) = result_of(
        folder.path(),
        r#"(
            name: "energy",
            target: Expression(
                parameters: {"a": Real, "b": Real},
                given: {"y": Vector(4)},
                data: {"t": Vector([-1.0, -0.3, 0.5, 1.2])},
                log_density: "a ~ normal(0, 1); b ~ normal(0, 1); y ~ normal(a + b * t, 0.5);",
            ),
            data: (source: Csv(path: "responses.csv")),
            evaluation: (draws: 5000),
        )"#,
    );
    let kl = mean_kl(&student.freeze(), &pairs(2000, "new pairs"));
    assert!(kl.abs() < 0.01, "{kl}");
    let among = record.among.as_ref().expect("figures by what is given");
    assert_eq!((record.judgement().expect("a judgement").verdict, among.judged.len()), (Verdict::Trusted, 6));
    assert!(among.worst_ess > 0.97 && among.mean_kl.abs() < 0.01, "{} {}", among.worst_ess, among.mean_kl);
    // log Z of a row is that of its responses, which differ from row to row.
    for judged in &among.judged {
        let at_mode = posterior(&judged.given).0;
        let prior = |x: f64| -0.5 * x * x - 0.5 * std::f64::consts::TAU.ln();
        let likelihood = |i: usize| {
            let z = (judged.given[i] - at_mode[0] - at_mode[1] * PLACES[i]) / NOISE;
            prior(z) - NOISE.ln()
        };
        let joint = prior(at_mode[0]) + prior(at_mode[1]) + (0..4).map(likelihood).sum::<f64>();
        let log_z = joint - log_posterior(&judged.given, &at_mode);
        let own = &judged.certificate.reverse;
        assert!((own.log_z - log_z).abs() < 0.01, "{} {log_z}", own.log_z);
    }
    let json = record.to_json();
    assert_eq!(json["given"]["judged"].as_array().map(Vec::len), Some(6));
}

#[test]
fn posteriors_of_a_conjugate_regression_are_learned_from_pairs_and_distilled() {
    let folder = tempfile::tempdir().expect("a folder");
    // The order of the columns in the file is not that of the model, in which what is given comes first.
    let rows = pairs(6000, "pairs");
    let turned: Vec<[f64; 6]> = rows.iter().map(|r| [r[4], r[0], r[1], r[5], r[2], r[3]]).collect();
    write(&folder.path().join("pairs.csv"), "a,y0,y1,b,y2,y3", &turned, 0..6);
    let (teacher, student, record) = result_of(
        folder.path(),
        r#"(
            name: "pairs",
            data: (source: Csv(path: "pairs.csv"), given: ["y0", "y1", "y2", "y3"]),
            whitening: Draws,
            teacher: (layers: 2, hidden: [16]),
            student: Flow(layers: 2, hidden: [16]),
            stages: [
                MaximumLikelihood(steps: 1500, batch: 256, rate: (peak: 0.003)),
                ReverseKl(against: Teacher, training: (steps: 1500, batch: 64)),
            ],
            evaluation: (draws: 5000),
        )"#,
    );
    let teacher = teacher.expect("a teacher");
    assert_eq!(teacher.names, ["y0", "y1", "y2", "y3", "a", "b"]);
    let new = pairs(4000, "new pairs");
    let (of_teacher, of_student) = (mean_kl(&teacher.freeze(), &new), mean_kl(&student.freeze(), &new));
    assert!(of_teacher < 0.01 && of_student < 0.01, "{of_teacher}, {of_student}");
    assert_eq!(record.judgement().expect("a judgement").verdict, Verdict::Trusted);
}

/// A model of two variables given three columns, whose standardisation bends, scales and mixes.
fn model(orientation: Orientation) -> Model {
    let config = FlowConfig { layers: 3.into(), hidden: vec![9], transformer: gentle(), ..FlowConfig::default() };
    let mut factor = vec![0.0; 25];
    for i in 0..5 {
        for j in 0..=i {
            factor[5 * i + j] = if i == j { 1.0 + 0.1 * i as f64 } else { 0.3 - 0.1 * (i + 2 * j) as f64 };
        }
    }
    let standardisation = Standardisation {
        shift: vec![0.5, 0.1, -1.0, 0.2, 0.0],
        scale: vec![2.0, 0.2, 1.0, 0.7, 0.05],
        links: vec![Link::Identity, Link::Above(-3.0), Link::Identity, Link::Identity, Link::Between(-40.0, 40.0)],
        tails: vec![],
        factor,
        given: 3,
    };
    Model {
        flow: random_flow::<f32>(Space { given: 3, variables: 2 }, &config, orientation),
        standardisation,
        names: ["p", "q", "r", "x", "y"].map(String::from).to_vec(),
        columns: Default::default(),
        constraint: Default::default(),
        held_out: Vec::new(),
    }
}

const CONTEXT: [f64; 3] = [0.4, -1.2, 2.0];

#[test]
fn a_model_where_what_is_given_is_fixed_is_the_same_model() {
    for orientation in [Orientation::Density, Orientation::Sampling] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.safetensors");
        model(orientation).save(&path).expect("saved");
        let whole = Model::load(&path).expect("loaded").freeze::<f64>();
        let fixed = whole.at(&CONTEXT).expect("fixed");
        assert_eq!((whole.space(), fixed.space()), (Space { given: 3, variables: 2 }, Space::from(2)));
        assert_eq!(fixed.names(), ["x", "y"]);

        let (rows, stream) = (50, Seed(4).stream("draws"));
        let mut points: Vec<f64> = (0..rows).flat_map(|_| [CONTEXT.as_slice(), &[0.0; 2]].concat()).collect();
        let (mut log_prob, mut alone, mut log_prob_alone) = (vec![0.0; rows], vec![0.0; 2 * rows], vec![0.0; rows]);
        whole.draw(Method::Cached, &stream, 7, &mut points, &mut log_prob);
        fixed.draw(Method::Cached, &stream, 7, &mut alone, &mut log_prob_alone);
        assert!(points.chunks_exact(5).all(|row| row[..3] == CONTEXT), "what is given stays as it is");
        let variables = points.chunks_exact(5).flat_map(|row| row[3..].to_vec());
        assert!(disagreement(alone.clone(), variables) < DOUBLE);
        assert!(disagreement(log_prob_alone.clone(), log_prob.clone()) < DOUBLE);

        let (mut of_whole, mut of_fixed) = (vec![0.0; 5 * rows], vec![0.0; 2 * rows]);
        whole.log_prob_and_gradient(&points, &mut log_prob, &mut of_whole);
        assert!(disagreement(log_prob_alone.clone(), log_prob.clone()) < DOUBLE, "the density of the draws");
        fixed.log_prob_and_gradient(&alone, &mut log_prob_alone, &mut of_fixed);
        assert!(disagreement(log_prob_alone, log_prob) < DOUBLE);
        assert!(disagreement(of_fixed.clone(), of_whole.chunks_exact(5).flat_map(|row| row[3..].to_vec())) < DOUBLE);
        // The gradient by what is given, too, is that of the log density.
        for i in 0..5 {
            let at = |shift: f64| {
                let mut moved = points.clone();
                moved.iter_mut().skip(i).step_by(5).for_each(|value| *value += shift);
                let mut log_prob = vec![0.0; rows];
                whole.log_prob(&moved, &mut log_prob);
                log_prob
            };
            for (row, (up, down)) in at(1e-6).into_iter().zip(at(-1e-6)).enumerate() {
                assert!(disagreement([of_whole[5 * row + i]], [(up - down) / 2e-6]) < 1e-4, "{orientation:?}, {i}");
            }
        }
    }
    let whole = model(Orientation::Sampling).freeze::<f64>();
    assert!(whole.at(&[0.0, -5.0, 0.0]).expect_err("below its bound").to_string().contains("`q` is given as -5"));
    assert!(whole.at(&[0.0]).is_err());
}

/// −½ (x − A c)² of two variables given three columns, up to a normaliser that depends on what is given.
struct Line;

impl Density for Line {
    fn dim(&self) -> usize {
        5
    }

    fn given(&self) -> usize {
        3
    }

    fn evaluate(
        &self,
        points: &[f64],
        values: &mut [f64],
        gradients: Option<&mut [f64]>,
        _: &mut Faults,
    ) -> Result<(), Fatal> {
        let apart = |row: &[f64]| [row[3] - row[0] + 0.5 * row[1], row[4] - row[2]];
        for (value, row) in values.iter_mut().zip(points.chunks_exact(5)) {
            let [u, v] = apart(row);
            *value = 3.0 * row[0] - 0.5 * (u * u + v * v);
        }
        if let Some(gradients) = gradients {
            for (gradient, row) in gradients.chunks_exact_mut(5).zip(points.chunks_exact(5)) {
                let [u, v] = apart(row);
                gradient.copy_from_slice(&[3.0 + u, -0.5 * u, v, -u, -v]);
            }
        }
        Ok(())
    }
}

#[test]
fn a_density_where_what_is_given_is_fixed_is_one_of_the_variables() {
    let at = At::new(&Line, &CONTEXT);
    let (mut value, mut gradient) = ([0.0], [0.0; 2]);
    at.evaluate(&[0.1, 0.2], &mut value, Some(&mut gradient), &mut Faults::default()).expect("evaluated");
    let (u, v) = (0.1 - 0.4 - 0.6, 0.2 - 2.0);
    assert!(disagreement(value, [1.2 - 0.5 * (u * u + v * v)]) < 1e-12);
    assert!(disagreement(gradient, [-u, -v]) < 1e-12);
    assert_eq!((at.dim(), at.names()), (2, vec!["x4".to_string(), "x5".to_string()]));
}

#[test]
fn objectives_over_what_is_given_have_the_gradients_of_their_losses() {
    let model = model(Orientation::Sampling);
    let rows: Vec<f64> = normal_rows(40, 3, "contexts").iter().map(|x| 0.5 * x).collect();
    let contexts = || Some(Contexts::new(&rows, &model.standardisation, Seed(5).stream("contexts")));
    let teacher = self::model(Orientation::Density).freeze::<f32>();
    let fresh = flowdistill::train::Draws::Fresh(&teacher, Seed(1).stream("teacher"));
    let reverse = ReverseKl::new(&Line, model.standardisation.clone(), 64, Seed(1).stream("noise"));
    let objectives: [(&str, Box<dyn Objective + '_>); 2] = [
        ("reverse", Box::new(reverse.among(contexts()))),
        ("forward", Box::new(ForwardKl::new(fresh, model.standardisation.clone(), 64).among(contexts()))),
    ];
    for (name, mut objective) in objectives {
        let mut flow = model.flow.clone();
        use flowdistill::params::Parameters;
        let weights = flow.snapshot();
        let mut gradients: Vec<Vec<f32>> = weights.iter().map(|tensor| vec![0.0; tensor.len()]).collect();
        let mut scratch = gradients.clone();
        let outcome = objective.evaluate(&flow, 3, &mut gradients).expect("evaluated");
        assert_eq!(outcome.ess, None, "{name}: each context has a normaliser of its own");
        for (t, gradient) in gradients.iter().enumerate() {
            let i = (3 * t) % gradient.len();
            let mut at = |shift: f32| {
                let mut moved = weights.clone();
                moved[t][i] += shift;
                flow.restore(&moved);
                objective.evaluate(&flow, 3, &mut scratch).expect("evaluated").loss
            };
            let difference = (at(2e-3) - at(-2e-3)) / 4e-3;
            assert!(
                disagreement([f64::from(gradient[i])], [difference]) < 5e-3,
                "{name}: {t}: {} {difference}",
                gradient[i]
            );
        }
    }
    // The path gradient has the same mean: over many draws it is near the total one.
    let of = |gradient: Gradient| {
        let reverse = ReverseKl::new(&Line, model.standardisation.clone(), 20_000, Seed(1).stream("noise"));
        let mut gradients: Vec<Vec<f32>> = {
            use flowdistill::params::Parameters;
            model.flow.snapshot().iter().map(|tensor| vec![0.0; tensor.len()]).collect()
        };
        reverse.among(contexts()).by(gradient).evaluate(&model.flow, 0, &mut gradients).expect("evaluated");
        gradients.concat().into_iter().map(f64::from).collect::<Vec<f64>>()
    };
    let (total, path) = (of(Gradient::Total), of(Gradient::Path));
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let apart: Vec<f64> = total.iter().zip(&path).map(|(a, b)| a - b).collect();
    assert!(norm(&apart) < 0.1 * norm(&total), "{} {}", norm(&apart), norm(&total));
}

#[test]
fn a_pass_is_given_what_its_noise_begins_with() {
    let config = FlowConfig { layers: 2.into(), hidden: vec![5], ..FlowConfig::default() };
    let space = Space { given: 2, variables: 1 };
    let flow: Flow<f64, dfdx::prelude::Cpu> = random_flow(space, &config, Orientation::Sampling);
    let (mut points, mut log_prob) = (vec![0.0; 6], vec![0.0; 2]);
    Pass::default().push(&flow, &[0.3, -0.7, 1.0, 0.1, 0.2, -1.0], &mut points, &mut log_prob).expect("pushed");
    assert_eq!((&points[..2], &points[3..5]), (&[0.3, -0.7][..], &[0.1, 0.2][..]));
}

#[test]
fn what_cannot_be_given_is_refused_with_what_would_be_right() {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("pairs.csv"), "y0,y1,y2,y3,a,b", &pairs(60, "few"), 0..6);
    let fault = |text: &str| {
        let spec = match Spec::parse(&format!("(name: \"it\", {text})")) {
            Ok(spec) => spec,
            Err(fault) => return fault,
        };
        Plan::new(spec, &folder.path().join("it.ron")).err().map_or("nothing".into(), |fault| fault.to_string())
    };
    let data = |given: &str| format!("data: (source: Csv(path: \"pairs.csv\"), given: {given})");
    let target = "target: Expression(parameters: {\"a\": Real}, given: {\"y0\": Real}, log_density: \"-(a - y0)^2\")";
    for (text, right) in [
        (data("[\"z\"]"), "there are y0, y1"),
        (data("[\"y0\", \"y0\"]"), "naming it once is right"),
        (data("[\"y0\", \"y1\", \"y2\", \"y3\", \"a\", \"b\"]"), "names every column"),
        (target.to_string(), "there is no `data`"),
        (format!("{target}, {}", data("[\"y0\"]")), "leave it out"),
        (format!("{target}, {}, stages: [Sample()]", data("[]")), "`ReverseKl(against: Target)` is right"),
        (format!("{target}, {}, stages: [ReverseKl(against: Target, forward: 1.0)]", data("[]")), "is right"),
        (target.replace("\"y0\": Real", "\"y0\": Positive") + ", " + &data("[]"), "`Real` or `Vector(n)` is right"),
        (target.replace("y0", "nowhere") + ", " + &data("[]"), "nowhere"),
        (target.replace("\"y0\": Real", "\"a\": Real") + ", " + &data("[]"), "occurs twice"),
    ] {
        let found = fault(&text);
        assert!(found.contains(right), "{text}: {found}");
    }
    assert_eq!(fault(&format!("{target}, {}", data("[]"))), "nothing");
}
