//! The page: what is said first, what comes after it, what is folded away.

use super::looks::{Looks, Who};
use super::worst::{worst, Worst};
use super::{bars, densities, marginals, markdown, pairs, parameters, style, training, weights, words, Sources};
use crate::picture::{escaped, Svg};
use serde_json::Value;

/// The whole page. The same sources give the same bytes.
pub fn page(of: &Sources) -> String {
    let record = of.record;
    let name = escaped(record["name"].as_str().unwrap_or("a run"));
    let (style, more) = (style::OF_PICTURES, style::OF_THE_PAGE);
    let body = [top(record), what_next(record), table(record), pictures(of), folded(of)].concat();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{name}: {}</title>\n<style>{style}{more}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escaped(&words::headline(record).title)
    )
}

/// The first picture as a file of its own.
pub fn first_picture(of: &Sources) -> Option<String> {
    let looks = of.looks.filter(|looks| looks.width() > 0 && !looks.samples.is_empty())?;
    let first = pairs::first(looks, &worst(looks))?;
    let style = format!("{}svg{{background:var(--bg)}}", style::OF_PICTURES);
    Some(first.both.with_style(&first.titles.join("; "), &first.words, &style))
}

/// Verdict, reasons, where and when.
fn top(record: &Value) -> String {
    let headline = words::headline(record);
    let reasons = record["reasons"].as_array().map_or(&[][..], Vec::as_slice);
    // Of a training that came to nothing: what it stumbled over.
    let stages = record["stages"].as_array().map_or(&[][..], Vec::as_slice);
    let refused =
        stages.iter().filter(|_| record["status"] == "diverged").filter_map(|stage| stage["refused"].as_str());
    let words = reasons.iter().filter_map(Value::as_str).chain(refused);
    let items: String = words.map(|reason| format!("<li>{}</li>", markdown::inline(reason))).collect();
    let list = if items.is_empty() { items } else { format!("<ul>{items}</ul>") };
    let (class, title, meaning) = (headline.class, escaped(&headline.title), escaped(&headline.meaning));
    let name = escaped(record["name"].as_str().unwrap_or(""));
    let about = format!(
        "seed {}, {} threads, {:.1} s, flowdistill {}",
        record["seed"],
        record["threads"],
        record["seconds"].as_f64().unwrap_or(0.0),
        escaped(record["version"].as_str().unwrap_or(""))
    );
    let verdict = record["verdict"].as_str().unwrap_or("none");
    format!(
        "<h1>{name}</h1>\n<div class=\"verdict {class}\" data-verdict=\"{verdict}\"><strong>{title}</strong><p>{meaning}</p></div>\n{list}\n\
         <p class=\"about\">{about}</p>\n"
    )
}

fn what_next(record: &Value) -> String {
    let steps: String = words::next(record)
        .into_iter()
        .map(|(why, command)| {
            // Lines end between words, not inside of an option.
            let words: Vec<String> = command.split(' ').map(|word| format!("<span>{}</span>", escaped(word))).collect();
            format!("<p>{}</p><pre><code>{}</code></pre>", escaped(&why), words.join(" "))
        })
        .collect();
    if steps.is_empty() {
        return steps;
    }
    let place = if steps.contains("--resume") { "" } else { "<p class=\"soft\">In the folder of this run:</p>" };
    format!("<h2>What to do next</h2>\n{place}{steps}\n")
}

fn table(record: &Value) -> String {
    let table = parameters::table(record).map(|table| format!("<h2>Parameters</h2>\n{table}\n"));
    table.unwrap_or_default()
}

fn figure(svg: &Svg, title: &str, words: &str) -> String {
    let caption = if words.is_empty() { String::new() } else { format!("<figcaption>{}</figcaption>", escaped(words)) };
    format!("<figure>{}{caption}</figure>", svg.finish(title, words))
}

/// A wide one, which is moved sideways on a phone.
fn wide(svg: &Svg, title: &str, words: &str, least: u32) -> String {
    let caption = if words.is_empty() { String::new() } else { format!("<figcaption>{}</figcaption>", escaped(words)) };
    format!(
        "<figure><div class=\"scroll\" style=\"--least:{least}px\">{}</div>{caption}</figure>",
        svg.finish(title, words)
    )
}

fn many(all: impl Iterator<Item = String>) -> String {
    format!("<div class=\"many\">{}</div>", all.collect::<String>())
}

/// What is what on pictures of draws.
fn legend(looks: &Looks) -> String {
    let entry = |(who, filled): (Who, bool)| {
        let mut svg = Svg::new(26.0, 12.0);
        match filled {
            true => svg.rect(&format!("fill {} r0", who.name()), [0.0, 1.0], [26.0, 10.0], ""),
            false => svg.line(&format!("ring {} r1", who.name()), [0.0, 6.0], [26.0, 6.0]),
        }
        let words = match who {
            Who::Independent if !looks.source.is_empty() => format!("independent draws ({})", looks.source),
            _ => who.words().into(),
        };
        format!("<li>{}{}</li>", svg.finish(&words, ""), escaped(&words))
    };
    format!("<ul class=\"keys\">{}</ul>", pairs::keys(looks).into_iter().map(entry).collect::<String>())
}

fn of_draws(looks: &Looks, worst: &Worst, record: &Value) -> String {
    let mut out = String::new();
    let legend = legend(looks);
    if let Some(pairs::First { titles, words, column, pair, .. }) = pairs::first(looks, worst) {
        let deviates = worst.marginal.iter().flatten().any(|(wrong, ..)| *wrong >= super::worst::LITTLE)
            || worst.pair.is_some_and(|(_, wrong, ..)| wrong >= super::worst::LITTLE);
        let compared = worst.marginal.iter().flatten().next().is_some();
        let trusted = record["verdict"] == "trusted";
        let heading = match (compared, deviates, trusted) {
            (_, true, _) => "Where it is most wrong",
            (true, false, true) => "Nothing to be seen that is wrong",
            (true, false, false) => "What is wrong is not seen in one or two columns",
            (false, false, _) => "The draws",
        };
        let shading = if deviates { " Shaded: what the model lacks (blue) and has too much of (red)." } else { "" };
        let region =
            if pair.is_some() { " Of the pair, the regions that hold 50 % and 95 % of the draws." } else { "" };
        let pair = pair.map(|svg| format!("<figure>{}</figure>", svg.finish(&titles[1], &words)));
        let column = format!("<figure>{}</figure>", column.finish(&titles[0], &words));
        let both = many([Some(column), pair].into_iter().flatten());
        let words = escaped(&format!("{words}{shading}{region}"));
        out.push_str(&format!("<h2>{heading}</h2>\n{legend}{both}\n<p class=\"soft\">{words}</p>\n"));
    }
    let densities = densities::pictures(looks);
    if densities.len() > 1 {
        let each = densities.iter().map(|(who, svg)| {
            let words = who.words();
            format!(
                "<figure><h3>{words}</h3>{}</figure>",
                svg.finish(&format!("density of the {words}"), "layers that hold 5 to 99.5 % of the mass")
            )
        });
        let words = "Each layer holds a share of the mass: 5, 20, 40, 60, 80, 95 and 99.5 %.";
        out.push_str(&format!("<h2>The densities</h2>\n{}<p class=\"soft\">{words}</p>\n", many(each)));
    }
    if let Some((svg, count)) = pairs::corner(looks, worst) {
        let all = looks.width();
        let of = if count < all {
            format!("{count} of {all} columns, the worst first, then those that depend most on others")
        } else {
            "All columns, the worst first".into()
        };
        let words = format!("{of}. The inner line holds 50 % of the draws, the outer one 95 %.");
        out.push_str(&format!("<h2>Pairs of columns</h2>\n{legend}{}\n", wide(&svg, "pairs of columns", &words, 640)));
    }
    let marginals = marginals::all(looks, worst);
    if looks.width() > 2 {
        let each = marginals.iter().map(|(name, svg, words)| figure(svg, &format!("{name} by itself"), words));
        out.push_str(&format!("<h2>Columns by themselves</h2>\n{legend}{}\n", many(each)));
    }
    out
}

fn pictures(of: &Sources) -> String {
    let mut out = String::new();
    if let Some(looks) = of.looks.filter(|looks| looks.width() > 0 && !looks.samples.is_empty()) {
        out.push_str(&of_draws(looks, &worst(looks), of.record));
    }
    let missing = of.looks.map_or(&[][..], |looks| looks.missing.as_slice());
    if !missing.is_empty() {
        let items: String = missing.iter().map(|what| format!("<li>{}</li>", escaped(what))).collect();
        out.push_str(&format!("<h2>Not in the pictures</h2>\n<ul class=\"soft\">{items}</ul>\n"));
    }
    let mut beside = Vec::new();
    if let Some((svg, words)) = bars::modes(of.record) {
        beside.push(format!(
            "<figure><h3>Masses of the modes</h3>{}</figure>",
            picture(&svg, "masses of the modes", &words)
        ));
    }
    if let Some((svg, words)) = weights::picture(of.record) {
        beside.push(format!(
            "<figure><h3>Weights of the student's draws</h3>{}</figure>",
            picture(&svg, "weights", &words)
        ));
    }
    if let Some((svg, words)) = bars::speeds(of.record) {
        beside.push(format!("<figure><h3>Speeds</h3>{}</figure>", picture(&svg, "draws per second", &words)));
    }
    if !beside.is_empty() {
        out.push_str(&format!("<h2>Weights and speeds</h2>\n{}\n", many(beside.into_iter())));
    }
    let training = training::pictures(of.metrics);
    if !training.is_empty() {
        let each = training.iter().map(|(name, svg, words)| {
            format!("<figure><h3>{}</h3>{}</figure>", escaped(name), picture(svg, &format!("training: {name}"), words))
        });
        out.push_str(&format!("<h2>Training</h2>\n{}\n", many(each)));
    }
    out
}

/// A picture with its caption, inside of a figure.
fn picture(svg: &Svg, title: &str, words: &str) -> String {
    let caption = if words.is_empty() { String::new() } else { format!("<figcaption>{}</figcaption>", escaped(words)) };
    format!("{}{caption}", svg.finish(title, words))
}

/// All that is in `report.md`, section by section.
fn folded(of: &Sources) -> String {
    let mut out = String::from("<h2>All figures</h2>\n");
    for markdown::Section { heading, body } in markdown::sections(of.markdown) {
        // The verdict stands above already.
        let heading = if heading.is_empty() || heading.starts_with("Verdict") {
            "Stages, scores, speeds".into()
        } else {
            heading
        };
        if !body.is_empty() {
            out.push_str(&format!("<details><summary>{}</summary>{body}</details>\n", markdown::inline(&heading)));
        }
    }
    out
}
