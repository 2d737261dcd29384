//! A sampler for an energy of one's own: the density is a dozen lines, the rest is saying what is wanted.
//!
//! `cargo run --release --example own_energy`

use flowdistill::target::Pointwise;

/// Two anharmonic oscillators with a spring between them: −log γ = ¼ x⁴ + ¼ y⁴ + ½ (x − y)².
struct Oscillators;

impl Pointwise for Oscillators {
    fn dim(&self) -> usize {
        2
    }

    fn log_density(&self, p: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let (x, y) = (p[0], p[1]);
        if let Some(gradient) = gradient {
            gradient[0] = -(x.powi(3) + (x - y));
            gradient[1] = -(y.powi(3) - (x - y));
        }
        -(0.25 * x.powi(4) + 0.25 * y.powi(4) + 0.5 * (x - y).powi(2))
    }

    fn names(&self) -> Vec<String> {
        vec!["x".into(), "y".into()]
    }
}

fn main() -> flowdistill::error::Result<()> {
    let mut fitted = flowdistill::fit(&Oscillators).seed(1).run()?;
    println!("{}", fitted.report());

    let (draws, log_density) = fitted.sample(3);
    for (point, log_density) in draws.chunks_exact(2).zip(log_density) {
        println!("x {:.3}, y {:.3}, log density {log_density:.3}", point[0], point[1]);
    }
    fitted.save(std::path::Path::new("oscillators.safetensors"))?;
    println!("saved: flowdistill sample oscillators.safetensors -n 1000");
    Ok(())
}
