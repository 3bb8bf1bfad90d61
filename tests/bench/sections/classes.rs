//! Claims where thousands of placement classes wait, and a runner fits few or all of them.

use anyhow::{Result, ensure};

use super::Found;
use crate::Bench;
use crate::claiming::{Claiming, Point, Way};
use crate::goals::{Bound, Goal};
use crate::queue::{Classes, Queue, Shape};
use crate::samples::{API_US, DB_US, P99_MS, PER_S, Reader, Series, take_off_idle};
use crate::table::{Table, count, millis, ratio, whole};

/// How many claim at the same time.
const CLAIMERS: u32 = 16;
/// The class that is claimed from alone has so many more runs, or those who claim would wait for the next to be put back.
const MORE_IN_ONE: u64 = 5_000;
/// How many runs a claim takes at most.
const AT_ONCE: [u32; 2] = [1, 50];

/// Measures.
pub async fn run(bench: &Bench) -> Result<Found> {
    let plan = &bench.plan;
    let depth = u64::from(plan.classes) * plan.runs_of_class + MORE_IN_ONE;
    let groups: Vec<String> = plan.fits.iter().map(|fits| label_of(*fits, plan.classes)).collect();
    let shape = Shape {
        database: "classes",
        depth,
        classes: Some(Classes { count: plan.classes, more_in_one: MORE_IN_ONE }),
        groups: &groups,
        workers: CLAIMERS as usize,
    };
    let queue = Queue::fill(&bench.server, shape).await?;
    ensure!(queue.lanes.len() == plan.classes as usize, "there are {} lanes", queue.lanes.len());
    bench.say(&format!("{depth} runs wait in {} classes", plan.classes));
    let mut points = Vec::new();
    for group in 0..groups.len() {
        points.extend(AT_ONCE.map(|max| at(group, max)));
    }
    let mut series = Series::new();
    let mut claiming = Claiming::prepare(bench, vec![queue]).await?;
    for round in 0..plan.rounds {
        bench.say(&format!("classes, round {} of {}", round + 1, plan.rounds));
        claiming.round(round, &points, &mut series).await?;
    }
    take_off_idle(&mut series, claiming.idle_us_per_s());
    claiming.end().await?;
    Ok(report(bench, &series))
}

fn at(group: usize, max: u32) -> Point {
    Point { way: Way::Grpc, queue: 0, group, max, clients: CLAIMERS }
}

/// Returns what a runner accepts as label `n`, so that it fits so many of the classes 0 to `all` - 1.
fn label_of(fits: u32, all: u32) -> String {
    if fits == all {
        return ".*".into();
    }
    // The numbers behind those that have fewer digits: 1; 100 to 199; 1000 to 1999.
    let numbers: Vec<String> = (fits..fits * 2).map(|n| n.to_string()).collect();
    match fits.checked_ilog10().map(|digits| 10_u32.pow(digits)) {
        Some(power) if power == fits => format!("1[0-9]{{{}}}", fits.ilog10()),
        _ => numbers.join("|"),
    }
}

fn report(bench: &Bench, series: &Series<Point>) -> Found {
    let (plan, read) = (&bench.plan, Reader(series));
    let mut table = Table::new(
        &format!("Claims from {} placement classes", whole(u64::from(plan.classes))),
        &format!(
            "{} runs wait in each, and {MORE_IN_ONE} more in one; {CLAIMERS} claimers, all of which fit the same classes. Against all: the rate of those that \
             fit all classes by this one; 1 is flat, more is worse.",
            whole(plan.runs_of_class)
        ),
        &["classes that fit", "at once", "claims/s", "spread", "99 of 100 ms", "PG µs", "API µs", "against all"],
    );
    let (mut goals, all) = (Vec::new(), plan.fits.len() - 1);
    for (group, &fits) in plan.fits.iter().enumerate() {
        for max in AT_ONCE {
            let here = at(group, max);
            let against = read.ratio(&at(all, max), &here, PER_S);
            table.row(vec![
                whole(u64::from(fits)),
                max.to_string(),
                count(read.of(&here, PER_S)),
                ratio(read.spread(&here, PER_S)),
                millis(read.of(&here, P99_MS)),
                count(read.of(&here, DB_US)),
                count(read.of(&here, API_US)),
                ratio(against),
            ]);
            if group != all {
                let what = format!(
                    "claims/s of runners that fit all {} classes by those that fit {}, {max} at once",
                    whole(u64::from(plan.classes)),
                    whole(u64::from(fits))
                );
                goals.push(Goal::ratio("gRPC", what, Bound::AtMost(2.0), against));
            }
        }
    }
    // The row of the design sets many classes that fit beside one.
    let many = all.saturating_sub(1);
    goals.push(Goal::ratio(
        "4",
        format!(
            "flat in classes: processor time of PostgreSQL, {} that fit by {}, 1 at once",
            whole(u64::from(plan.fits[many])),
            whole(u64::from(plan.fits[0]))
        ),
        Bound::AtMost(2.0),
        read.ratio(&at(many, 1), &at(0, 1), DB_US),
    ));
    Found { text: table.into_text(), goals }
}
