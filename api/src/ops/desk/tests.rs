//! Who waits at a desk, and who is looked for; without a database.

use chrono::DateTime;
use tstr_shared::permission::Scope;

use super::*;
use crate::auth::verify::tests::caller;
use crate::ops::placement::Placement;
use crate::store::runners::RunnerSelectors;

type Answer = oneshot::Receiver<Result<Vec<LeasedRun>>>;

fn desks() -> (Desks, Arc<Signature>) {
    let runner = RunnerSelectors { namespaces: vec![".*".into()], ..RunnerSelectors::default() };
    (Desks::default(), Placement::default().signature(&runner).unwrap())
}

/// Lets a claim of one runner wait, which may be a repeat of another.
fn wait(desk: &Desk, claim_id: u128) -> (u64, Answer) {
    let caller = caller(&[Scope::Runner], &[".*"]);
    let (reply, answer) = oneshot::channel();
    let mut queue = desk.queue();
    queue.next += 1;
    let asker = Asker {
        runner: RunnerId(Uuid::nil()),
        token: caller.token_id(),
        registered_at: DateTime::default(),
        claim_id: Uuid::from_u128(claim_id),
        want: 1,
        actor: String::new(),
    };
    let (number, access) = (queue.next, caller.may_in_any(&[]).unwrap());
    let (last, state) = (Arc::default(), State::Looking);
    let ask = Ask { number, caller, access, asker, last, is_repeat: true, state, reply };
    desk.wait(&mut queue, ask);
    (number, answer)
}

fn waiting(desk: &Desk) -> Vec<(u64, State)> {
    desk.queue().asks.iter().map(|ask| (ask.number, ask.state)).collect()
}

#[test]
fn a_runner_that_is_resumed_while_it_is_looked_for_does_not_wait_for_the_next_time() {
    let (desks, signature) = desks();
    let desk = desks.sit_down(&signature, &[]);
    let _answer = wait(&desk, 1);
    // The look finds it draining, and it is resumed before the look ends.
    let look = |resumes: bool| {
        let (mut asks, resumed) = desk.take();
        asks[0].state = State::Draining;
        if resumes {
            desk.resume();
        }
        desk.put_back(asks, resumed);
        waiting(&desk)
    };
    assert_eq!(look(true), [(1, State::Looking)]);
    assert_eq!(look(false), [(1, State::Draining)]);
    desk.resume();
    assert_eq!(waiting(&desk), [(1, State::Looking)]);
}

#[test]
fn a_claim_that_is_tried_again_takes_the_place_of_the_first_try() {
    let (desks, signature) = desks();
    let desk = desks.sit_down(&signature, &[]);
    let ((_, mut first), (_, mut other)) = (wait(&desk, 1), wait(&desk, 2));
    let (_, mut second) = wait(&desk, 1);
    assert_eq!(waiting(&desk), [(3, State::Looking), (2, State::Looking)]);
    assert!(first.try_recv().unwrap().unwrap().is_empty(), "the first try is answered");
    // A third comes while the second is served: it is given the same.
    let (asks, resumed) = desk.take();
    assert_eq!(asks.len(), 2);
    let (_, _third) = wait(&desk, 1);
    let repeats = desk.take_repeats(&HashMap::from([(asks[0].asker.claim(), Vec::new())]));
    assert_eq!(repeats.iter().map(|ask| ask.number).collect::<Vec<_>>(), [4]);
    // Or the second is not served: then the third waits for both.
    desk.wait(&mut desk.queue(), repeats.into_iter().next().unwrap());
    desk.put_back(asks, resumed);
    assert_eq!(waiting(&desk), [(2, State::Looking), (4, State::Looking)]);
    assert!(second.try_recv().unwrap().unwrap().is_empty() && other.try_recv().is_err());
}

#[test]
fn a_later_try_is_not_looked_for_before_it_is_known_what_the_first_was_given() {
    let (desks, signature) = desks();
    let desk = desks.sit_down(&signature, &[]);
    let _answers = (wait(&desk, 1), wait(&desk, 2));
    desk.queue().asks[0].state = State::Asking;
    let (asks, resumed) = desk.take();
    assert_eq!(asks.iter().map(|ask| ask.number).collect::<Vec<_>>(), [2]);
    desk.put_back(asks, resumed);
    desk.resume();
    assert!(waiting(&desk).contains(&(1, State::Asking)), "only drained runners are resumed");
}

#[test]
fn the_last_one_who_leaves_closes_the_desk() {
    let (desks, signature) = desks();
    let sit = || {
        let desk = desks.sit_down(&signature, &[1]);
        Seat { desks: desks.clone(), desk, number: 0, last: Arc::default(), answer: oneshot::channel().1 }
    };
    let (one, two) = (sit(), sit());
    assert!(Arc::ptr_eq(&one.desk, &two.desk));
    drop(one);
    assert_eq!(desks.count(), 1);
    // Somebody still looks when the last seat is given up.
    let desk = two.desk.clone();
    desk.queue().looking = true;
    drop(two);
    assert_eq!(desks.count(), 1);
    assert!(!desk.rest());
    Desks::close(&mut desks.map(), &desk, &desk.queue());
    assert_eq!(desks.count(), 0);
}
