//! A certificate as numbers with names, and as a table for people.

use super::certificate::Certificate;
use serde_json::{json, Map, Value};
use std::fmt::Write;

impl Certificate {
    /// Every figure that is known, by its name.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let (reverse, draws) = (&self.reverse, self.reverse.draws as f64);
        let mut all = vec![
            ("ess", reverse.ess),
            ("elbo", self.elbo.mean),
            ("elbo_se", self.elbo.standard_error),
            ("log_z", reverse.log_z),
            ("log_z_se", reverse.log_z_se),
            ("failed_share", self.failed_rows as f64 / draws),
            ("zero_weight_share", reverse.zero_weights as f64 / draws),
        ];
        let mut put = |name, value: Option<f64>| all.extend(value.map(|value| (name, value)));
        put("k_hat", reverse.k_hat);
        put("smoothed_log_z", self.smoothed_log_z);
        put("eubo", self.eubo.map(|eubo| eubo.mean));
        put("eubo_se", self.eubo.map(|eubo| eubo.standard_error));
        put("forward_ess", self.forward.map(|forward| forward.forward_ess));
        put("forward_k_hat", self.forward.and_then(|forward| forward.forward_k_hat));
        put("bridge_log_z", self.bridge_log_z.map(|z| z.0));
        put("bridge_log_z_se", self.bridge_log_z.map(|z| z.1));
        put("independent_log_z", self.independent_log_z.map(|z| z.0));
        put("independent_log_z_se", self.independent_log_z.map(|z| z.1));
        put("total_variation", self.total_variation);
        put("unseen_share", self.unseen);
        put("wrong_mass", self.worst.as_ref().map(super::regions::Region::raw));
        put("wrong_mass_weighted", self.worst_corrected.as_ref().map(super::regions::Region::corrected));
        all
    }

    /// For `run.json` and `--json`: verdict, reasons, source, figures; a figure that is not finite is null.
    pub fn to_json(&self) -> Value {
        let figures: Map<String, Value> = self.figures().into_iter().map(|(name, v)| (name.into(), json!(v))).collect();
        json!({
            "verdict": self.verdict,
            "reasons": self.reasons,
            "independent_look": self.source,
            "draws": self.reverse.draws,
            "independent_draws": self.forward.map(|forward| forward.draws),
            "figures": figures,
        })
    }

    /// For reports and the terminal.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("## Certificate: {}\n\n", self.verdict.words());
        let mut line = |text: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{text}");
        };
        self.reasons.iter().for_each(|reason| line(format!("- {reason}")));
        line(format!("\n| figure | from {} draws of the student |\n|---|---:|", self.reverse.draws));
        let pair = |(value, error): (f64, f64)| format!("{} ± {}", nats(value), nats(error));
        line(format!("| ELBO (at most log Z) | {} |", pair((self.elbo.mean, self.elbo.standard_error))));
        line(format!("| log Z, importance-sampled | {} |", pair((self.reverse.log_z, self.reverse.log_z_se))));
        if let Some(log_z) = self.smoothed_log_z {
            line(format!("| log Z, Pareto-smoothed | {} |", nats(log_z)));
        }
        line(format!("| ESS/N | {:.4} |", self.reverse.ess));
        if let Some(k_hat) = self.reverse.k_hat {
            line(format!("| Pareto k̂ | {k_hat:.2} |"));
        }
        line(format!("| failed draws | {} |", self.failed_rows));
        let Some(source) = &self.source else { return out };
        let draws = self.forward.map_or("no draws".into(), |forward| format!("{} draws", forward.draws));
        line(format!("\n| figure | independent look: {source}, {draws} |\n|---|---:|"));
        if let Some(log_z) = self.independent_log_z {
            line(format!("| log Z | {} |", if log_z.1 == 0.0 { nats(log_z.0) } else { pair(log_z) }));
        }
        if let Some(log_z) = self.bridge_log_z {
            line(format!("| log Z, bridge | {} |", pair(log_z)));
        }
        if let Some(eubo) = self.eubo {
            line(format!("| EUBO (at least log Z) | {} |", pair((eubo.mean, eubo.standard_error))));
        }
        if let Some(forward) = self.forward {
            line(format!("| forward ESS/N | {:.4} |", forward.forward_ess));
            if let Some(k_hat) = forward.forward_k_hat {
                line(format!("| Pareto k̂ of these weights | {k_hat:.2} |"));
            }
        }
        if let Some(distance) = self.total_variation {
            line(format!("| total variation distance | {distance:.4} |"));
        }
        if let Some(unseen) = self.unseen {
            line(format!("| beyond all weights of the student | {:.2} % |", 100.0 * unseen));
        }
        if let Some(region) = &self.worst {
            let (student, independent) = (region.student, region.independent);
            line(format!("| most wrong mass: {} | {student:.3}, right {independent:.3} |", region.name));
        }
        out
    }
}

/// Four decimals, without the sign of a zero; in powers of ten where a score has gone astray.
fn nats(value: f64) -> String {
    if value.abs() >= 1e6 {
        format!("{value:.2e}")
    } else if value.abs() < 5e-5 {
        "0.0000".into()
    } else {
        format!("{value:.4}")
    }
}
