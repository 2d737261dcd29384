//! A comparison with held-out rows as numbers with names, and as a table for people.

use super::verdict::{number, range};
use super::{DataCertificate, Told};
use serde_json::{json, Map, Value};
use std::fmt::Write;

/// Columns and pairs that are shown to people.
const SHOWN: usize = 8;

impl DataCertificate {
    /// Every figure, by its name.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let (total_variation, error) = self.total_variation();
        let ks = self.columns.iter().map(|column| column.ks).fold(0.0, f64::max);
        vec![
            ("data_total_variation", total_variation),
            ("data_total_variation_se", error),
            ("data_auc", self.trees.auc),
            ("data_ks", ks),
            ("data_visible", self.visible()),
            ("data_rows", self.rows as f64),
        ]
    }

    /// For `run.json` and `--json`: verdict, reasons, help, figures, and each column, pair and joint test.
    pub fn to_json(&self) -> Value {
        let figures: Map<String, Value> = self.figures().into_iter().map(|(name, v)| (name.into(), json!(v))).collect();
        let columns = self.columns.iter().map(|column| {
            let (total_variation, error) = column.size(self.rows, self.draws);
            json!({
                "column": column.name,
                "ks": column.ks,
                "ks_p_value": column.ks_p_value,
                "cells": column.cells.rows.len(),
                "cells_p_value": column.cells.p_value,
                "total_variation": total_variation,
                "total_variation_se": error,
                "most_wrong": column.stretch,
                "outside": column.outside,
            })
        });
        let pairs = self.pairs.iter().map(|pair| {
            json!({
                "columns": pair.columns.map(|place| &self.names[place]),
                "p_value": pair.cells.p_value,
                "total_variation": pair.cells.total_variation,
                "total_variation_se": pair.cells.standard_error,
            })
        });
        let cells = self.cells.iter().map(|of| {
            json!({
                "cells": of.cells.len(),
                "p_value": of.shares.p_value,
                "total_variation": of.shares.total_variation,
                "total_variation_se": of.shares.standard_error,
            })
        });
        let functions = self.functions.iter().map(|function| {
            json!({
                "column": self.names[function.column],
                "of": self.names[function.of],
                "xi_rows": function.xi[0],
                "xi_draws": function.xi[1],
            })
        });
        let told = |told: &Told| {
            json!({
                "auc": told.auc,
                "total_variation": told.mass,
                "total_variation_se": told.standard_error,
                "p_value": told.p_value,
            })
        };
        json!({
            "verdict": self.verdict,
            "reasons": self.reasons,
            "help": self.help,
            "rows": self.rows,
            "draws": self.draws,
            "figures": figures,
            "columns": columns.collect::<Vec<_>>(),
            "pairs": pairs.collect::<Vec<_>>(),
            "functions": functions.collect::<Vec<_>>(),
            "cells": cells.collect::<Vec<_>>(),
            "trees": told(&self.trees),
            "products": self.products.as_ref().map(told),
        })
    }

    /// For reports and the terminal; `who` is the model, such as "teacher".
    pub fn to_markdown(&self, who: &str) -> String {
        let mut out = format!("## Against the data: {who} {}\n\n", self.verdict.words());
        let mut line = |text: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{text}");
        };
        self.reasons.iter().for_each(|reason| line(format!("- {reason}")));
        self.help.iter().for_each(|help| line(format!("- what would help: {help}")));
        let (total_variation, error) = self.total_variation();
        line(format!(
            "\n{} held-out rows, {} draws; total variation at least {total_variation:.3} ± {error:.3}; visible from {:.2} (in one column \
             from {:.2})\n",
            self.rows,
            self.draws,
            self.visible(),
            self.visible_in_a_column()
        ));
        line("| | p-value | total variation, at least | most wrong |\n|---|---:|---:|---|".into());
        let mut columns: Vec<_> = self.columns.iter().collect();
        columns.sort_by(|a, b| b.size(self.rows, self.draws).0.total_cmp(&a.size(self.rows, self.draws).0));
        for column in columns.iter().take(SHOWN) {
            let (size, error) = column.size(self.rows, self.draws);
            let p = column.ks_p_value.min(column.cells.p_value);
            let place = range([column.stretch.low, column.stretch.high]);
            let (rows, draws) = (column.stretch.rows, column.stretch.draws);
            line(format!(
                "| `{}` | {} | {size:.3} ± {error:.3} | {place}: rows {rows:.3}, draws {draws:.3} |",
                column.name,
                number(p)
            ));
        }
        if columns.len() > SHOWN {
            line(format!("| {} columns more | | less | |", columns.len() - SHOWN));
        }
        let worst = self.pairs.iter().max_by(|a, b| a.cells.total_variation.total_cmp(&b.cells.total_variation));
        if let Some(pair) = worst {
            let [i, j] = pair.columns.map(|place| &self.names[place]);
            let (size, error) = (pair.cells.total_variation, pair.cells.standard_error);
            let many = self.pairs.len();
            line(format!(
                "| `{i}` with `{j}`, the worst of {many} pairs | {} | {size:.3} ± {error:.3} | |",
                number(pair.cells.p_value)
            ));
        }
        for of in &self.cells {
            let (size, error) = (of.shares.total_variation, of.shares.standard_error);
            line(format!("| {} cells | {} | {size:.3} ± {error:.3} | |", of.cells.len(), number(of.shares.p_value)));
        }
        let told = [("boosted trees", Some(&self.trees)), ("quadratic discriminant", self.products.as_ref())];
        for (name, told) in told.into_iter().filter_map(|(name, told)| Some((name, told?))) {
            line(format!(
                "| {name} | {} | {:.3} ± {:.3} | AUC {:.3} |",
                number(told.p_value),
                told.mass.max(0.0),
                told.standard_error,
                told.auc
            ));
        }
        out
    }
}
