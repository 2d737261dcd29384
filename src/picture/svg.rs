//! The elements of one picture: escaped, with coordinates as short as they may be.

use std::fmt::Write;

/// Text that is safe between tags and in attributes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No document may hold them.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A coordinate with one decimal at most.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0").unwrap_or(&text) {
        "-0" => "0".into(),
        whole => whole.into(),
    }
}

/// A picture under way.
#[derive(Debug, Clone)]
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
    attributes: String,
}

impl Svg {
    /// An empty one of this size, in units that are points of the screen where it is shown in full.
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new(), attributes: String::new() }
    }

    /// Gives the whole picture `data-name="value"`, by which programs find its numbers.
    pub fn note(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.attributes, " data-{name}=\"{}\"", escaped(&value.to_string()));
    }

    /// An element without content; the attributes are as written.
    pub fn element(&mut self, tag: &str, attributes: &str) {
        let _ = write!(self.body, "<{tag} {attributes}/>");
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(short);
        self.element("path", &format!("class=\"{class}\" d=\"M{x1},{y1}L{x2},{y2}\""));
    }

    /// A rectangle with its upper left corner and its size, and what programs are to know of it.
    pub fn rect(&mut self, class: &str, [x, y]: [f64; 2], [width, height]: [f64; 2], notes: &str) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(short);
        let attributes = format!("class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"{notes}");
        self.element("rect", &attributes);
    }

    /// Lines through points, closed or not; parts without points are left out.
    pub fn path(&mut self, class: &str, lines: &[Vec<[f64; 2]>], closed: bool) {
        let mut d = String::new();
        for line in lines.iter().filter(|line| line.len() > 1) {
            // Steps from one point to the next, in tenths, so that rounding does not add up.
            let mut at = line[0].map(|x| (10.0 * x).round());
            let _ = write!(d, "M{},{}l", short(at[0] / 10.0), short(at[1] / 10.0));
            let mut before = "";
            for point in &line[1..] {
                let next = point.map(|x| (10.0 * x).round());
                let step = [next[0] - at[0], next[1] - at[1]].map(|x| short(x / 10.0));
                if step == ["0", "0"] {
                    continue;
                }
                let _ = write!(d, "{before}{},{}", step[0], step[1]);
                (before, at) = (" ", next);
            }
            if before.is_empty() {
                d.push_str("0,0");
            }
            if closed {
                d.push('z');
            }
        }
        if !d.is_empty() {
            self.element("path", &format!("class=\"{class}\" d=\"{d}\""));
        }
    }

    /// Text that begins at a point, is centred on it or ends there (`start`, `middle`, `end`).
    pub fn text(&mut self, class: &str, [x, y]: [f64; 2], anchor: &str, text: &str) {
        let ([x, y], text) = ([x, y].map(short), escaped(text));
        let anchor = if anchor == "start" { String::new() } else { format!(" text-anchor=\"{anchor}\"") };
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>");
    }

    /// Text that runs upwards, centred on a point.
    pub fn upward(&mut self, class: &str, [x, y]: [f64; 2], text: &str) {
        let ([x, y], text) = ([x, y].map(short), escaped(text));
        let turned = format!("text-anchor=\"middle\" transform=\"translate({x},{y}) rotate(-90)\"");
        let _ = write!(self.body, "<text class=\"{class}\" {turned}>{text}</text>");
    }

    /// The picture for a page that has the classes' styles: what it is called, and what one sees on it.
    pub fn finish(&self, title: &str, description: &str) -> String {
        self.with_style(title, description, "")
    }

    /// The picture as a file of its own with its styles.
    pub fn with_style(&self, title: &str, description: &str, style: &str) -> String {
        let ([width, height], title, description) =
            ([self.width, self.height].map(short), escaped(title), escaped(description));
        let style = if style.is_empty() { String::new() } else { format!("<style>{style}</style>") };
        let Self { body, attributes, .. } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\"{attributes}><title>{title}</title><desc>{description}</desc>{style}{body}</svg>"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_written_becomes_an_element() {
        assert_eq!(escaped("<a b=\"'&\u{1b}\">"), "&lt;a b=&quot;&#39;&amp;\u{fffd}&quot;&gt;");
        assert_eq!([short(-0.04), short(2.0), short(2.25)], ["0", "2", "2.2"]);
    }

    #[test]
    fn rounding_does_not_add_up_along_a_path() {
        let mut svg = Svg::new(10.0, 10.0);
        let line: Vec<[f64; 2]> = (0..=100).map(|k| [0.04 * f64::from(k), 0.0]).collect();
        svg.path("a", &[line], false);
        let sum: f64 = svg
            .body
            .split("M0,0l")
            .nth(1)
            .expect("steps")
            .trim_end_matches("\"/>")
            .split(' ')
            .map(|step| step.split(',').next().expect("x").parse::<f64>().expect("a number"))
            .sum();
        assert!((sum - 4.0).abs() < 1e-9, "{sum}");
    }
}
