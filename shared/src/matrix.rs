//! The matrix: label combinations that a test is fanned out over, by GitHub's rules of `include` and `exclude`.
//!
//! The product is taken in the declared order, the first axis slowest. `exclude` removes combinations that it
//! matches in part. `include` is applied after it: an entry is merged into every combination whose *original* values
//! it would not overwrite (values that earlier entries added may be overwritten), else it becomes a combination of
//! its own. Source: GitHub Actions, workflow syntax, `jobs.<job_id>.strategy.matrix.include`.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

use crate::error::{Invalid, pointer_step};
use crate::labels::{self, Labels};

/// The most axes.
pub const MAX_AXES: usize = 8;
/// The most values of one axis.
pub const MAX_AXIS_VALUES: usize = 64;
/// The most cells.
pub const MAX_CELLS: usize = 256;

/// The axes in their declared order; the order decides the order of the cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Axes(pub Vec<(String, Vec<String>)>);

/// A matrix as it is written in a test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Matrix {
    /// Label key to the values it takes: a list, or an object with the list in `values`.
    pub labels: Axes,
    /// Label sets to merge into combinations, or to add as combinations of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub include: Vec<Labels>,
    /// Label sets; combinations that hold all labels of one are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub exclude: Vec<Labels>,
    /// How many cells may be under way at once, from 1 to 256; all of them without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 256)))]
    pub max_parallel: Option<u32>,
    /// The first cell that ends with `fail`, `error` or `timed_out` cancels the others that have not ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fail_fast: bool,
    /// Label sets; cells that hold all labels of one may fail without failing the matrix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub soft_fail: Vec<Labels>,
}

impl Matrix {
    /// Returns the cells in their order, or every fault of the matrix with its place.
    ///
    /// The limits are checked before anything is multiplied out. A matrix without any cell is a fault.
    pub fn cells(&self) -> Result<Vec<Labels>, Invalid> {
        self.check()?;
        let mut cells: Vec<Cell> =
            self.product().into_iter().filter(|cell| !self.excludes(cell)).map(Cell::original).collect();
        let originals = cells.len();
        for entry in &self.include {
            let mut merged = false;
            for cell in &mut cells[..originals] {
                merged |= cell.take(entry);
            }
            if !merged {
                cells.push(Cell::original(entry.clone()));
            }
        }
        if cells.is_empty() {
            return Err(Invalid::one("/exclude", "every combination is excluded; a matrix needs at least one cell"));
        }
        if cells.len() > MAX_CELLS {
            return Err(Invalid::one("", format!("{} cells, at most {MAX_CELLS} are allowed", cells.len())));
        }
        let mut distinct = std::collections::BTreeSet::new();
        for cell in &cells {
            if !distinct.insert(&cell.labels) {
                return Err(Invalid::one("/include", format!("two cells are the same: {}", cell.labels.text())));
            }
        }
        for (i, entry) in self.soft_fail.iter().enumerate() {
            if !cells.iter().any(|cell| cell.labels.contains(entry)) {
                return Err(Invalid::one(format!("/soft_fail/{i}"), format!("no cell has {}", entry.text())));
            }
        }
        Ok(cells.into_iter().map(|cell| cell.labels).collect())
    }

    /// Tells whether this cell may fail without failing the matrix.
    pub fn is_soft(&self, cell: &Labels) -> bool {
        self.soft_fail.iter().any(|entry| cell.contains(entry))
    }

    fn check(&self) -> Result<(), Invalid> {
        let mut invalid = Invalid::default();
        let axes = &self.labels.0;
        if axes.is_empty() && self.include.is_empty() {
            invalid.add("/labels", "a matrix needs at least one axis");
        }
        if axes.len() > MAX_AXES {
            invalid.add("/labels", format!("{} axes, at most {MAX_AXES} are allowed", axes.len()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (key, values) in axes {
            let place = format!("/labels/{}", pointer_step(key));
            if !seen.insert(key) {
                invalid.add(&place, "this axis stands twice");
            }
            check_axis(&mut invalid, &place, key, values);
        }
        for (name, entries) in [("include", &self.include), ("exclude", &self.exclude), ("soft_fail", &self.soft_fail)]
        {
            if entries.len() > MAX_CELLS {
                invalid.add(format!("/{name}"), format!("{} entries, at most {MAX_CELLS} are allowed", entries.len()));
                continue;
            }
            for (i, entry) in entries.iter().enumerate() {
                if entry.is_empty() {
                    invalid.add(format!("/{name}/{i}"), "an entry needs at least one label");
                }
                if let Err(part) = entry.validate() {
                    invalid.add_all(&format!("/{name}/{i}"), part);
                }
            }
        }
        if let Some(cells) = self.max_parallel.filter(|cells| !(1..=MAX_CELLS).contains(&(*cells as usize))) {
            invalid.add("/max_parallel", format!("{cells} is not from 1 to {MAX_CELLS}"));
        }
        let product = axes.iter().try_fold(1usize, |product, (_, values)| product.checked_mul(values.len()));
        if product.is_none_or(|product| product > MAX_CELLS) {
            invalid.add("/labels", format!("the product of the axes is over {MAX_CELLS} cells"));
        }
        invalid.into_result()
    }

    fn product(&self) -> Vec<Labels> {
        if self.labels.0.is_empty() {
            return Vec::new();
        }
        self.labels.0.iter().fold(vec![Labels::default()], |cells, (key, values)| {
            let with = |cell: &Labels, value: &String| cell.merged(&[(key, value)].into_iter().collect());
            cells.iter().flat_map(|cell| values.iter().map(move |value| with(cell, value))).collect()
        })
    }

    fn excludes(&self, cell: &Labels) -> bool {
        self.exclude.iter().any(|entry| cell.contains(entry))
    }
}

fn check_axis(invalid: &mut Invalid, place: &str, key: &str, values: &[String]) {
    if let Err(fault) = labels::check_key(key) {
        invalid.add(place, fault);
    }
    if values.is_empty() {
        invalid.add(place, "an axis needs at least one value");
    }
    if values.len() > MAX_AXIS_VALUES {
        invalid.add(place, format!("{} values, at most {MAX_AXIS_VALUES} are allowed", values.len()));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (i, value) in values.iter().enumerate() {
        if let Err(fault) = labels::check_value(value) {
            invalid.add(format!("{place}/{i}"), fault);
        }
        if !seen.insert(value) {
            invalid.add(format!("{place}/{i}"), format!("the value '{value}' stands twice"));
        }
    }
}

/// A combination while `include` is applied: its labels, and which of them the axes gave.
struct Cell {
    original: Labels,
    labels: Labels,
}

impl Cell {
    fn original(labels: Labels) -> Self {
        Self { original: labels.clone(), labels }
    }

    /// Merges an `include` entry unless it would overwrite an original value; tells whether it did.
    fn take(&mut self, entry: &Labels) -> bool {
        let clashes = entry.iter().any(|(key, value)| self.original.get(key).is_some_and(|own| own != value));
        if !clashes {
            self.labels = self.labels.merged(entry);
        }
        !clashes
    }
}

impl Serialize for Axes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, values) in &self.0 {
            map.serialize_entry(key, values)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AxesVisitor;
        impl<'de> Visitor<'de> for AxesVisitor {
            type Value = Axes;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object of label keys and their values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Axes, A::Error> {
                let mut axes = Vec::new();
                // A key that stands twice is kept: `check` reports it, a map would swallow it.
                while let Some((key, axis)) = map.next_entry::<String, Axis>()? {
                    if axes.len() > MAX_AXES {
                        return Err(serde::de::Error::custom(format!("at most {MAX_AXES} axes are allowed")));
                    }
                    axes.push((key, axis.into_values()));
                }
                Ok(Axes(axes))
            }
        }
        deserializer.deserialize_map(AxesVisitor)
    }
}

/// One axis as it may be written: a list, or the original tstr's `{"values": [...]}`.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "an axis is a list of strings or an object {\"values\": [strings]}")]
enum Axis {
    /// The values.
    List(Vec<String>),
    /// The values as the original tstr wrote them.
    Object(AxisValues),
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct AxisValues {
    /// The values.
    values: Vec<String>,
}

impl Axis {
    fn into_values(self) -> Vec<String> {
        match self {
            Self::List(values) | Self::Object(AxisValues { values }) => values,
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Axes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Axes".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // What is answered is always the list.
        let written = generator.contract().is_serialize();
        let axis = if written { generator.subschema_for::<Vec<String>>() } else { generator.subschema_for::<Axis>() };
        schemars::json_schema!({
            "type": "object",
            "description": "Label key to the values it takes; the order of the keys is the order of the cells.",
            "additionalProperties": axis,
            "maxProperties": MAX_AXES,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arb;

    fn matrix(json: &str) -> Matrix {
        serde_json::from_str(json).unwrap()
    }
    fn texts(json: &str) -> Vec<String> {
        matrix(json).cells().unwrap().iter().map(Labels::text).collect()
    }
    fn faults(json: &str) -> Vec<String> {
        matrix(json).cells().unwrap_err().errors.into_iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect()
    }

    #[test]
    fn the_product_keeps_the_declared_order_first_axis_slowest() {
        assert_eq!(
            texts(r#"{"labels": {"zone": ["b", "a"], "arch": ["x", "y"]}}"#),
            ["arch=x,zone=b", "arch=y,zone=b", "arch=x,zone=a", "arch=y,zone=a"]
        );
    }

    #[test]
    fn an_axis_may_be_written_as_the_original_tstr_did() {
        assert_eq!(texts(r#"{"labels": {"region": {"values": ["nyc", "sfo"]}}}"#), ["region=nyc", "region=sfo"]);
    }

    #[test]
    fn exclude_matches_in_part() {
        let json = r#"{"labels": {"os": ["l", "w"], "v": ["1", "2"]}, "exclude": [{"os": "w", "v": "1"}, {"v": "2"}]}"#;
        assert_eq!(texts(json), ["os=l,v=1"]);
    }

    /// The example of GitHub's documentation: two axes and five includes give six combinations.
    #[test]
    fn github_documented_example_gives_its_six_combinations() {
        let json = r#"{"labels": {"fruit": ["apple", "pear"], "animal": ["cat", "dog"]},
            "include": [{"color": "green"}, {"color": "pink", "animal": "cat"}, {"fruit": "apple", "shape": "circle"},
                        {"fruit": "banana"}, {"fruit": "banana", "animal": "cat"}]}"#;
        assert_eq!(
            texts(json),
            [
                "animal=cat,color=pink,fruit=apple,shape=circle",
                "animal=dog,color=green,fruit=apple,shape=circle",
                "animal=cat,color=pink,fruit=pear",
                "animal=dog,color=green,fruit=pear",
                "fruit=banana",
                "animal=cat,fruit=banana",
            ]
        );
    }

    #[test]
    fn a_matrix_of_includes_alone_has_one_cell_for_each() {
        assert_eq!(texts(r#"{"include": [{"site": "a"}, {"site": "b", "dc": "x"}]}"#), ["site=a", "dc=x,site=b"]);
    }

    #[test]
    fn empty_and_duplicate_axes_are_refused() {
        assert_eq!(faults(r#"{"labels": {}}"#), ["/labels: a matrix needs at least one axis"]);
        assert_eq!(faults(r#"{"labels": {"a": []}}"#), ["/labels/a: an axis needs at least one value"]);
        assert_eq!(faults(r#"{"labels": {"a": ["1"], "a": ["2"]}}"#), ["/labels/a: this axis stands twice"]);
        assert_eq!(faults(r#"{"labels": {"a": ["1", "1"]}}"#), ["/labels/a/1: the value '1' stands twice"]);
        assert_eq!(
            faults(r#"{"labels": {"a": ["1"]}, "exclude": [{"a": "1"}]}"#),
            ["/exclude: every combination is excluded; a matrix needs at least one cell"]
        );
    }

    #[test]
    fn the_product_is_checked_before_it_is_built() {
        let axis = |n: usize, len: usize| {
            (0..n).map(|i| (format!("a{i}"), (0..len).map(|v| v.to_string()).collect())).collect()
        };
        let build = |n, len| Matrix { labels: Axes(axis(n, len)), ..Matrix::default() };
        assert_eq!(build(2, 16).cells().unwrap().len(), 256);
        assert!(build(1, 64).cells().is_ok() && build(1, 65).cells().is_err());
        // 64^8 would not fit in memory, 2^63 overflows where the product is taken carelessly.
        assert!(build(8, 64).cells().is_err());
        assert!(Matrix { labels: Axes(axis(64, 2)), ..Matrix::default() }.cells().is_err());
    }

    #[test]
    fn limits_and_soft_cells_are_checked() {
        let with = |rest: &str| format!(r#"{{"labels": {{"os": ["l", "w"]}}, {rest}}}"#);
        for parallel in [0, 257] {
            let fault = format!("/max_parallel: {parallel} is not from 1 to 256");
            assert_eq!(faults(&with(&format!(r#""max_parallel": {parallel}"#))), [fault]);
        }
        assert_eq!(faults(&with(r#""soft_fail": [{"os": "w"}, {"os": "b"}]"#)), ["/soft_fail/1: no cell has os=b"]);
        assert_eq!(faults(&with(r#""soft_fail": [{}]"#)), ["/soft_fail/0: an entry needs at least one label"]);
        let soft = matrix(&with(r#""max_parallel": 256, "fail_fast": true, "soft_fail": [{"os": "w"}]"#));
        let soft: Vec<bool> = soft.cells().unwrap().iter().map(|cell| soft.is_soft(cell)).collect();
        assert_eq!(soft, [false, true]);
    }

    #[test]
    fn equal_cells_are_refused() {
        let json = r#"{"include": [{"site": "a"}, {"site": "a"}]}"#;
        assert_eq!(faults(json), ["/include: two cells are the same: site=a"]);
    }

    proptest! {
        #[test]
        fn cells_are_distinct_hold_an_original_or_an_include_and_survive_a_round_trip(matrix in arb::matrix()) {
            let json = serde_json::to_string(&matrix).unwrap();
            let again: Matrix = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&again, &matrix);
            if let Ok(cells) = matrix.cells() {
                prop_assert_eq!(again.cells().unwrap(), cells.clone());
                prop_assert!(!cells.is_empty() && cells.len() <= MAX_CELLS);
                let product = matrix.product();
                for cell in &cells {
                    let from_product = product.iter().any(|p| cell.contains(p) && !matrix.excludes(p));
                    let from_include = matrix.include.contains(cell);
                    prop_assert!(from_product || from_include, "{}", cell.text());
                }
                let kept = product.iter().filter(|p| !matrix.excludes(p)).count();
                prop_assert!(cells.len() >= kept && cells.len() <= kept + matrix.include.len());
            }
        }
    }
}
