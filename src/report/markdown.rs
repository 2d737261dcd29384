//! The report in Markdown as HTML: headings, lists, tables, paragraphs, `code` and **bold**: all that it uses.

use crate::picture::escaped;

/// One section: its heading and what is under it.
#[derive(Debug, PartialEq)]
pub(super) struct Section {
    /// The heading.
    pub heading: String,
    /// HTML.
    pub body: String,
}

/// A text divided at its headings of the second rank; what is before the first has none.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut all = vec![(String::new(), Vec::new())];
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            all.push((heading.to_string(), Vec::new()));
        } else if !line.starts_with("# ") {
            if let Some((_, lines)) = all.last_mut() {
                lines.push(line);
            }
        }
    }
    all.into_iter().map(|(heading, lines)| Section { heading, body: blocks(&lines) }).collect()
}

/// What a line is a part of.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Nothing,
    Table,
    List,
    Numbered,
    Paragraph,
}

fn kind(line: &str) -> Kind {
    let begins_with_a_number =
        line.split_once(". ").is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    match line {
        _ if line.trim().is_empty() => Kind::Nothing,
        _ if line.starts_with('|') => Kind::Table,
        _ if line.trim_start().starts_with("- ") => Kind::List,
        _ if begins_with_a_number => Kind::Numbered,
        _ => Kind::Paragraph,
    }
}

fn blocks(lines: &[&str]) -> String {
    let mut out = String::new();
    for block in lines.chunk_by(|a, b| kind(a) == kind(b)) {
        match kind(block[0]) {
            Kind::Nothing => {}
            Kind::Table => out.push_str(&table(block)),
            Kind::List => {
                let items: String = block
                    .iter()
                    .map(|line| format!("<li>{}</li>", inline(line.trim_start().trim_start_matches("- "))))
                    .collect();
                out.push_str(&format!("<ul>{items}</ul>"));
            }
            Kind::Numbered | Kind::Paragraph => {
                block.iter().for_each(|line| out.push_str(&format!("<p>{}</p>", inline(line))));
            }
        }
    }
    out
}

/// The cells of a row; a bar after a backslash belongs to a cell.
fn cells(row: &str) -> Vec<String> {
    let inner = row.trim().trim_start_matches('|');
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner.replace("\\|", "\u{1}").split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn table(rows: &[&str]) -> String {
    let head = cells(rows[0]);
    let right: Vec<bool> =
        rows.get(1).map_or(Vec::new(), |row| cells(row).iter().map(|cell| cell.ends_with(':')).collect());
    let of = |tag: &str, row: Vec<String>| -> String {
        let cells = row.into_iter().enumerate().map(|(place, cell)| {
            let class = if right.get(place).copied().unwrap_or(false) { " class=\"n\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", inline(&cell))
        });
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let body: String = rows.iter().skip(2).map(|row| of("td", cells(row))).collect();
    format!("<div class=\"wide\"><table><thead>{}</thead><tbody>{body}</tbody></table></div>", of("th", head))
}

/// `code` and **bold**, everything else as it is.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::new();
    for (place, part) in text.split('`').enumerate() {
        if place % 2 == 1 {
            out.push_str(&format!("<code>{}</code>", escaped(part)));
            continue;
        }
        for (place, part) in part.split("**").enumerate() {
            match place % 2 {
                1 => out.push_str(&format!("<strong>{}</strong>", escaped(part))),
                _ => out.push_str(&escaped(part)),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reports_are_made_of_becomes_html() {
        let all =
            sections("# name\n\n## Verdict: trusted\n\n- a `b<c`\n\nsaid\n\n| x | y |\n|---|---:|\n| **d** | 1 |\n");
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].body.as_str(), all[1].heading.as_str()), ("", "Verdict: trusted"));
        let body = &all[1].body;
        assert!(body.contains("<ul><li>a <code>b&lt;c</code></li></ul><p>said</p>"), "{body}");
        assert!(body.contains("<tr><td><strong>d</strong></td><td class=\"n\">1</td></tr>"), "{body}");
    }
}
