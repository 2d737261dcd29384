//! The verdict on a whole run: on its student where it has one, else on its teacher.

use super::prepare::Divided;
use super::report::Record;
use super::spec::Against;
use crate::evaluate::certificate::{Certificate, Verdict};
use crate::evaluate::held_out::{certify_on_rows, DataCertificate};
use crate::flow::FrozenModel;
use crate::seed::Stream;

/// How the models of a run compare with rows that had no part in their fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgainstData {
    /// What the student was trained against last.
    pub student_against: Option<Against>,
    /// The teacher.
    pub teacher: Option<DataCertificate>,
    /// The student, where it was trained against the teacher.
    pub student: Option<DataCertificate>,
    /// Whether a teacher was fitted, but no rows were held out.
    pub nothing_held_out: bool,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// May the model that the run has made be used?
    pub verdict: Verdict,
    /// Why, in words.
    pub reasons: Vec<String>,
}

impl Judgement {
    fn lower(&mut self, to: Verdict, who: &str, reasons: &[String]) {
        self.verdict = self.verdict.min(to);
        self.reasons.extend(reasons.iter().map(|reason| format!("{who}: {reason}")));
    }
}

/// Compares `model` with the rows for tests, or with those that decided when to stop where there are no others.
pub(super) fn certify(model: &FrozenModel<f64>, data: &Divided, stream: &Stream) -> Option<DataCertificate> {
    let rows = if data.test.is_empty() { &data.validation } else { &data.test };
    (!rows.is_empty()).then(|| certify_on_rows(model, rows, stream))
}

impl Record {
    /// The verdict on the run's student, or on its teacher where it has none; nothing before the end. A student that learned from a teacher
    /// is at most as good as that against the data. Where teacher and weights stand, but the student's plain draws are not the data, the
    /// weights mend them.
    pub fn judgement(&self) -> Option<Judgement> {
        let AgainstData { student_against, teacher, student, nothing_held_out } = &self.against_data;
        let mut judgement = Judgement { verdict: Verdict::Trusted, reasons: Vec::new() };
        let against_target = self.certificate.is_some() && *student_against != Some(Against::Teacher);
        if *nothing_held_out && !against_target {
            let words = "no rows were held out, so that nothing compares it with them; `test: 0.1` is usual";
            judgement.lower(Verdict::NotTrusted, "teacher against the data", &[words.into()]);
        }
        if let Some(DataCertificate { verdict, reasons, help, .. }) = teacher.as_ref().filter(|_| !against_target) {
            judgement.lower(*verdict, "teacher against the data", reasons);
            judgement.reasons.extend(help.iter().map(|help| format!("what would help: {help}")));
        }
        let teacher_stands = judgement.verdict == Verdict::Trusted;
        // What the teacher has not learnt the student cannot have.
        if let Some(DataCertificate { verdict, reasons, .. }) = student.as_ref().filter(|_| teacher_stands) {
            judgement.lower((*verdict).max(Verdict::Correctable), "student against the data", reasons);
        }
        if let Some(Certificate { verdict, reasons, .. }) = &self.certificate {
            let density = if against_target { "the target" } else { "the teacher" };
            judgement.lower(*verdict, &format!("student against {density}"), reasons);
        }
        let judged = self.certificate.is_some() || teacher.is_some() || *nothing_held_out;
        judged.then_some(judgement)
    }

    /// The figures that conditions may name.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let AgainstData { teacher, student, .. } = &self.against_data;
        let mut figures = self.certificate.as_ref().map(Certificate::figures).unwrap_or_default();
        figures.extend(student.as_ref().or(teacher.as_ref()).map(DataCertificate::figures).unwrap_or_default());
        figures
    }
}
