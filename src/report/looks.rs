//! What pictures are made of: draws of each side in the user's space, and densities on a grid of the plane.

/// Whose draws or density they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Rows that had no part in the fit.
    Data,
    /// Draws of the target by somebody else than the student.
    Independent,
    /// The target itself.
    Target,
    /// The teacher.
    Teacher,
    /// The student.
    Student,
}

impl Who {
    /// All of them.
    pub const ALL: [Who; 5] = [Who::Data, Who::Independent, Who::Target, Who::Teacher, Who::Student];

    /// The name in files, and of the class on pages.
    pub fn name(self) -> &'static str {
        match self {
            Who::Data => "data",
            Who::Independent => "independent",
            Who::Target => "target",
            Who::Teacher => "teacher",
            Who::Student => "student",
        }
    }

    /// What a person calls it.
    pub fn words(self) -> &'static str {
        match self {
            Who::Data => "held-out rows",
            Who::Independent => "independent draws of the target",
            Who::Target => "target",
            Who::Teacher => "teacher",
            Who::Student => "student",
        }
    }

    /// Whether it is what others are held against.
    pub fn is_reference(self) -> bool {
        self <= Who::Target
    }
}

/// Draws of one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Whose they are.
    pub who: Who,
    /// Row-major.
    pub values: Vec<f32>,
}

impl Sample {
    /// One column.
    pub fn column(&self, place: usize, width: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        self.values.iter().skip(place).step_by(width).map(|value| f64::from(*value))
    }

    /// The number of rows.
    pub fn rows(&self, width: usize) -> usize {
        self.values.len() / width.max(1)
    }
}

/// A density on even cells of a rectangle.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    /// Whose it is.
    pub who: Who,
    /// Logarithms, row by row from below; any constant may be added to all of them.
    pub log_density: Vec<f32>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Looks {
    /// The columns' names.
    pub names: Vec<String>,
    /// The draws.
    pub samples: Vec<Sample>,
    /// Where the independent draws come from.
    pub source: String,
    /// The densities of a problem in the plane, …
    pub rasters: Vec<Raster>,
    /// … and its ends along each axis.
    pub plane: [[f64; 2]; 2],
    /// What could not be gathered, and why.
    pub missing: Vec<String>,
    /// Points at which the target was evaluated for its density alone.
    pub evaluated: u64,
}

impl Looks {
    /// The number of columns.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// The draws of one side.
    pub fn of(&self, who: Who) -> Option<&Sample> {
        self.samples.iter().find(|sample| sample.who == who)
    }

    /// What the models are held against first of all.
    pub fn reference(&self) -> Option<&Sample> {
        self.of(Who::Data).or_else(|| self.of(Who::Independent))
    }

    /// How much wider kernels are than usual: the same for all sides, or the one of fewer rows would look flatter than it is.
    pub fn wider(&self) -> f64 {
        let fewest = self.samples.iter().map(|sample| sample.rows(self.width())).min().unwrap_or(0);
        if fewest < FEW {
            2.0
        } else {
            1.0
        }
    }

    /// The range of a column that is shown: all of it, unless a few draws lie far out, which are left out then.
    pub fn range(&self, column: usize) -> [f64; 2] {
        let (mut inner, mut outer) = ([f64::INFINITY, f64::NEG_INFINITY], [f64::INFINITY, f64::NEG_INFINITY]);
        for sample in &self.samples {
            let mut values: Vec<f64> = sample.column(column, self.width()).filter(|x| x.is_finite()).collect();
            if values.is_empty() {
                continue;
            }
            values.sort_by(f64::total_cmp);
            let at = |share: f64| values[((share * values.len() as f64) as usize).min(values.len() - 1)];
            inner = [inner[0].min(at(FAR)), inner[1].max(at(1.0 - FAR))];
            outer = [outer[0].min(values[0]), outer[1].max(values[values.len() - 1])];
        }
        let [low, high] = if outer[1] - outer[0] <= MOST_ROOM * (inner[1] - inner[0]) { outer } else { inner };
        match high > low {
            true => [low - 0.02 * (high - low), high + 0.02 * (high - low)],
            false if low.is_finite() => [low - 0.5, low + 0.5],
            false => [0.0, 1.0],
        }
    }

    /// The largest share of any side's draws that lies outside of [`Looks::range`] in one of these columns.
    pub fn outside(&self, columns: &[usize]) -> f64 {
        let ranges: Vec<[f64; 2]> = columns.iter().map(|column| self.range(*column)).collect();
        let of = |sample: &Sample| {
            let rows = sample.values.chunks_exact(self.width());
            let is_out = |row: &&[f32]| {
                columns.iter().zip(&ranges).any(|(column, [low, high])| {
                    let value = f64::from(row[*column]);
                    !(*low..=*high).contains(&value)
                })
            };
            rows.filter(is_out).count() as f64 / sample.rows(self.width()).max(1) as f64
        };
        self.samples.iter().map(of).fold(0.0, f64::max)
    }
}

/// The share of draws on either side that may be left out …
const FAR: f64 = 0.003;
/// … where all of them would take so many times the room of the others.
const MOST_ROOM: f64 = 1.7;
/// Fewer rows than these are smoothed more.
const FEW: usize = 1_500;
