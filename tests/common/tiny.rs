//! An experiment with a teacher and a student that runs in a second.

/// It, under the name `tiny`.
pub const TINY: &str = r#"(
    name: "tiny",
    target: Banana(),
    data: (source: Draws(rows: 600)),
    teacher: (layers: 2, hidden: [16]),
    student: LikeTeacher,
    stages: [
        MaximumLikelihood(steps: 60, batch: 64, validate_every: 20),
        ReverseKl(against: Teacher, training: (steps: 60, batch: 64)),
    ],
    evaluation: (draws: 2000),
)"#;
