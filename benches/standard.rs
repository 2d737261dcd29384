//! The standard work, one JSON line a measurement: fit steps, log densities and draws of flows of five layers with two hidden
//! layers each, in single precision, with the share of the machine's own `gemm` peak that the unmasked arithmetic reaches.
//!
//!     cargo bench --bench standard -- [--threads N] [--size DIM,HIDDEN,BATCH]… [--only TEXT] [--transformer RON] [--coupling] [--quick]
//!
//! The lines have the form of those that `benches/peers/jax_speed.py` and `zuko_speed.py` print; `benches/peers/compare.py` runs
//! all three in turns.

use flowdistill::conditioner::{Activation, Order, Split, Structure};
use flowdistill::flow::{Flow, FlowConfig, FrozenFlow, Method, Orientation, Standardisation};
use flowdistill::seed::{Seed, Stream};
use flowdistill::target::Pointwise;
use flowdistill::train::{
    train, Draws, Epochs, ForwardKl, Gradient, MaximumLikelihood, Objective, Observer, Progress, ReverseKl, Settings,
};
use flowdistill::transformer::Transformer;
use std::hint::black_box;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const LAYERS: usize = 5;
const MANY: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let after = |name: &str| -> Vec<&String> {
        arguments.windows(2).filter(|pair| pair[0] == name).map(|pair| &pair[1]).collect()
    };
    let threads = after("--threads").first().map_or(2, |n| n.parse().expect("a number of threads"));
    let sizes: Vec<Size> = match &after("--size")[..] {
        [] => vec![(43, 512, 100), (43, 512, 1024), (21, 512, 100), (6, 100, 100)],
        sizes => sizes.iter().map(|size| parse(size)).collect(),
    };
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let transformer = after("--transformer").first().map_or(Transformer::default(), |text| {
        ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES)
            .from_str(text)
            .expect("a transformer, as an experiment has it")
    });
    let coupling = arguments.iter().any(|argument| argument == "--coupling");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    // Inside the pool, as the program itself runs.
    let only = after("--only").first().map(|only| only.to_string());
    pool.install(|| {
        sizes
            .into_iter()
            .for_each(|size| Bench { size, threads, quick, transformer, coupling, only: only.clone() }.run())
    });
}

/// Dimensions, width of the hidden layers, rows in a step.
type Size = (usize, usize, usize);

fn parse(size: &str) -> Size {
    let parts: Vec<usize> = size.split(',').map(|part| part.parse().expect("DIM,HIDDEN,BATCH")).collect();
    (parts[0], parts[1], parts[2])
}

struct Bench {
    size: Size,
    threads: usize,
    quick: bool,
    /// What is done to each variable.
    transformer: Transformer,
    /// Couplings by halves in the place of autoregressive layers.
    coupling: bool,
    only: Option<String>,
}

impl Bench {
    fn config(&self) -> FlowConfig {
        FlowConfig {
            layers: LAYERS.into(),
            hidden: vec![self.size.1; 2],
            activation: Activation::Relu,
            orders: vec![Order::Ascending, Order::Descending],
            structure: if self.coupling { Structure::Coupling(Split::Halves) } else { Structure::Autoregressive },
            residual: false,
            skip: false,
            transformer: self.transformer,
            ..FlowConfig::default()
        }
    }

    fn flow(&self, orientation: Orientation) -> Flow<f32, dfdx::prelude::Cpu> {
        let device = dfdx::prelude::Cpu::default();
        Flow::new(&device, self.size.0, &self.config(), orientation, &Seed(0).stream("bench")).expect("a flow")
    }

    fn run(&self) {
        let (dim, _, batch) = self.size;
        let weights = self.weights() as f64;
        let peak = self.gemm_peak(batch);
        let peak_of_many = self.gemm_peak(MANY);

        let step = Some(6.0 * batch as f64 * weights / peak);
        self.measure("teacher fit step", batch, step, || self.fit_seconds());
        self.measure("student reverse-KL step", batch, step, || self.distil_seconds(Gradient::Total));
        let path = step.map(|seconds| seconds * 4.0 / 3.0);
        self.measure("student path-gradient step", batch, path, || self.distil_seconds(Gradient::Path));
        self.measure("student forward-KL step", batch, step, || self.surprise_seconds());

        let teacher = self.flow(Orientation::Density).freeze::<f32>();
        let student = self.flow(Orientation::Sampling).freeze::<f32>();
        let noise = Seed(0).stream("bench/noise");
        let pass = Some(2.0 * batch as f64 * weights / peak);
        let many = Some(2.0 * MANY as f64 * weights / peak_of_many);
        let buffers = |rows| Rows::new(dim, rows, &noise);
        let log_prob = |flow, rows, runs| {
            let mut rows = buffers(rows);
            self.median(runs, || rows.log_prob(flow, Method::Cached))
        };
        self.measure("teacher log_prob", batch, pass, || log_prob(&teacher, batch, 30));
        self.measure("teacher log_prob", MANY, many, || log_prob(&teacher, MANY, 10));
        self.measure("student log_prob at foreign points", MANY, many, || log_prob(&student, MANY, 10));
        self.measure("teacher log_prob with its gradient", MANY, many.map(|seconds| 2.0 * seconds), || {
            let mut rows = buffers(MANY);
            self.median(5, || rows.gradient(&teacher))
        });
        let mut counts = vec![1, batch, 1000, MANY];
        counts.sort_unstable();
        counts.dedup();
        for count in counts {
            let floor = many.filter(|_| count == MANY);
            let push = |flow, method| {
                let mut rows = buffers(count);
                self.median(10, || rows.push(flow, method))
            };
            self.measure("student draws", count, floor, || push(&student, Method::Cached));
            self.measure("student draws, random numbers included", count, floor, || {
                let mut rows = buffers(count);
                self.median(10, || rows.draw(&student, &noise))
            });
            self.measure("teacher draws, cached inversion", count, floor, || push(&teacher, Method::Cached));
        }
        let passes = if dim > 10 { 200 } else { MANY };
        self.measure("teacher draws, one pass per dimension", passes, None, || {
            let mut rows = buffers(passes);
            self.median(1, || rows.push(&teacher, Method::Passes))
        });
    }

    /// The unmasked weights of the matrices.
    fn weights(&self) -> usize {
        let flow = self.flow(Orientation::Density);
        flow.config().multiplications(flow.space())
    }

    /// Prints one line, if it was asked for; `floor` is the time that the unmasked arithmetic takes at the peak of `gemm`.
    fn measure(&self, what: &str, rows: usize, floor: Option<f64>, seconds: impl FnOnce() -> f64) {
        if !self.only.as_ref().is_none_or(|only| what.contains(only)) {
            return;
        }
        let seconds = seconds();
        let (dim, hidden, _) = self.size;
        let share =
            floor.map_or(String::new(), |floor| format!(", \"percent_of_gemm\": {:.1}", 100.0 * floor / seconds));
        println!(
            "{{\"peer\": \"flowdistill\", \"what\": \"{what}\", \"dim\": {dim}, \"hidden\": {hidden}, \"batch\": {rows}, \"ms\": {:.4}, \
             \"rows_per_s\": {:.0}, \"threads\": {}{share}}}",
            seconds * 1e3,
            rows as f64 / seconds,
            self.threads
        );
    }

    fn median(&self, runs: usize, mut call: impl FnMut()) -> f64 {
        call();
        call();
        let runs = if self.quick { runs.div_ceil(4) } else { runs };
        // Calls too short for the clock are timed in groups.
        let start = Instant::now();
        call();
        let group = (2e-4 / start.elapsed().as_secs_f64()).clamp(1.0, 1e3) as usize;
        let mut times: Vec<f64> = (0..runs)
            .map(|_| {
                let start = Instant::now();
                (0..group).for_each(|_| call());
                start.elapsed().as_secs_f64() / group as f64
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    /// The peak of `gemm`, in floating-point operations a second, at the shape of a hidden layer on `rows` rows.
    fn gemm_peak(&self, rows: usize) -> f64 {
        let width = self.size.1;
        let (a, b) = (vec![0.5f32; rows * width], vec![0.25f32; width * width]);
        let mut c = vec![0.0f32; rows * width];
        let parallelism =
            if self.threads > 1 { gemm::Parallelism::Rayon(self.threads) } else { gemm::Parallelism::None };
        let stride = width as isize;
        let seconds = self.median(15, || {
            // SAFETY: row-major matrices of rows × width, width × width and rows × width, each as long as its strides say.
            unsafe {
                gemm::gemm(
                    rows,
                    width,
                    width,
                    c.as_mut_ptr(),
                    1,
                    stride,
                    false,
                    a.as_ptr(),
                    1,
                    stride,
                    b.as_ptr(),
                    1,
                    stride,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
            black_box(&mut c);
        });
        let operations = 2.0 * (rows * width * width) as f64;
        let (dim, hidden, _) = self.size;
        println!(
            "{{\"peer\": \"gemm\", \"what\": \"{rows} x {width} x {width}\", \"dim\": {dim}, \"hidden\": {hidden}, \"batch\": {rows}, \
             \"ms\": {:.4}, \"gflops\": {:.1}, \"threads\": {}}}",
            seconds * 1e3,
            operations / seconds * 1e-9,
            self.threads
        );
        operations / seconds
    }

    /// Enough steps for about a second of each kind.
    fn steps(&self) -> u64 {
        let (_, hidden, batch) = self.size;
        (1e11 / (hidden * hidden * (batch + 200)) as f64).clamp(30.0, 2000.0) as u64
    }

    fn fit_seconds(&self) -> f64 {
        let (dim, _, batch) = self.size;
        let mut data = vec![0.0; 4 * batch * dim];
        Seed(0).stream("bench/data").normals(0, dim, &mut data);
        let mut objective =
            MaximumLikelihood::new(dim, &data, Vec::new(), batch, [0.0; 2], Seed(0).stream("bench/shuffle"));
        self.step_seconds(Orientation::Density, &mut objective)
    }

    fn distil_seconds(&self, gradient: Gradient) -> f64 {
        let (dim, _, batch) = self.size;
        let (target, stream) = (Wide(dim), Seed(0).stream("bench/noise"));
        let mut objective = ReverseKl::new(&target, Standardisation::identity(dim), batch, stream).by(gradient);
        self.step_seconds(Orientation::Sampling, &mut objective)
    }

    fn surprise_seconds(&self) -> f64 {
        let (dim, _, batch) = self.size;
        let mut data = vec![0.0; 4 * batch * dim];
        Seed(0).stream("bench/data").normals(0, dim, &mut data);
        let draws = Draws::Given(&data, Epochs::new(4 * batch, batch, Seed(0).stream("bench/shuffle")));
        let mut objective = ForwardKl::new(draws, Standardisation::identity(dim), batch);
        self.step_seconds(Orientation::Sampling, &mut objective)
    }

    /// The median time of a step of the training loop.
    fn step_seconds(&self, orientation: Orientation, objective: &mut dyn Objective) -> f64 {
        let settings = Settings {
            steps: if self.quick { self.steps() / 4 } else { self.steps() },
            batch: self.size.2,
            clip: 0.0,
            average: 0.0,
            ..Settings::default()
        };
        let mut clock = Clock { last: Instant::now(), steps: Vec::new() };
        let mut flow = self.flow(orientation);
        train(&mut flow, objective, &settings, &AtomicBool::new(false), &mut clock).expect("trained");
        let mut steps = clock.steps.split_off(settings.steps as usize / 10);
        steps.sort();
        steps[steps.len() / 2].as_secs_f64()
    }
}

/// A target that costs next to nothing, so that the step is what is measured: independent normals of variance 4.
struct Wide(usize);

impl Pointwise for Wide {
    fn dim(&self) -> usize {
        self.0
    }

    fn log_density(&self, x: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        if let Some(gradient) = gradient {
            gradient.iter_mut().zip(x).for_each(|(gradient, x)| *gradient = -0.25 * x);
        }
        x.iter().map(|x| -0.125 * x * x).sum()
    }
}

struct Clock {
    last: Instant,
    steps: Vec<Duration>,
}

impl Observer for Clock {
    fn step(&mut self, _: &Progress) {
        let now = Instant::now();
        self.steps.push(now - self.last);
        self.last = now;
    }
}

/// The buffers of one call.
struct Rows {
    from: Vec<f64>,
    to: Vec<f64>,
    values: Vec<f64>,
}

impl Rows {
    fn new(dim: usize, rows: usize, noise: &Stream) -> Self {
        let mut from = vec![0.0; rows * dim];
        noise.normals(0, dim, &mut from);
        Self { to: vec![0.0; rows * dim], values: vec![0.0; rows], from }
    }

    fn push(&mut self, flow: &FrozenFlow<f32>, method: Method) {
        flow.push_with(method, &self.from, &mut self.to, &mut self.values);
        black_box(&mut self.to);
    }

    fn draw(&mut self, flow: &FrozenFlow<f32>, noise: &Stream) {
        flow.draw(Method::Cached, noise, 0, &mut self.to, &mut self.values);
        black_box(&mut self.to);
    }

    fn log_prob(&mut self, flow: &FrozenFlow<f32>, method: Method) {
        flow.log_prob_with(method, &self.from, &mut self.values);
        black_box(&mut self.values);
    }

    fn gradient(&mut self, flow: &FrozenFlow<f32>) {
        flow.log_prob_and_gradient(&self.from, &mut self.values, &mut self.to);
        black_box(&mut self.to);
    }
}
