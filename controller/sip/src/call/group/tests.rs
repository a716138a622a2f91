use super::*;

const NAME: &str = "9f86d081884c7d659a2f";

fn wish(members: u8) -> GroupWish {
    GroupWish { name: NAME.to_owned(), members }
}

fn count(groups: &Groups) -> usize {
    groups.lock().len()
}

#[tokio::test]
async fn all_come_to_each_stage_together() {
    let groups = Groups::default();
    let members = [0; 3].map(|_| groups.join(&wish(3)).unwrap());
    for stage in [Stage::Reserved, Stage::Accepted, Stage::Established] {
        let [first, second, third] = &members;
        let early = first.gate().reached(stage);
        let early = tokio::spawn(early);
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(!early.is_finished(), "{stage:?}: one is not all");
        assert_eq!(tokio::try_join!(second.gate().reached(stage), third.gate().reached(stage)), Ok(((), ())));
        assert_eq!(early.await.unwrap(), Ok(()));
    }
    assert_eq!(count(&groups), 0, "its name is free again");
    let [first, ..] = members;
    drop(first);
}

#[tokio::test]
async fn whoever_fails_takes_the_others_along_at_any_stage() {
    for stage in [Stage::Reserved, Stage::Accepted, Stage::Established] {
        let groups = Groups::default();
        let [one, other] = [0; 2].map(|_| groups.join(&wish(2)).unwrap());
        let (waits, rings) = (tokio::spawn(one.gate().reached(stage)), tokio::spawn(one.gate().failed()));
        tokio::task::yield_now().await;
        drop(other);
        assert!(matches!(waits.await.unwrap(), Err(Refusal::AllOrNone(_))), "{stage:?}");
        assert!(matches!(rings.await.unwrap(), Refusal::AllOrNone(_)), "{stage:?}");
        assert_eq!(count(&groups), 0);
        // Another try has nothing to do with it.
        let again = groups.join(&wish(2)).unwrap();
        drop(one);
        assert_eq!(count(&groups), 1);
        drop(again);
    }
}

#[tokio::test]
async fn who_waits_for_one_that_never_comes_is_told() {
    let groups = Groups::default();
    let alone = groups.join(&wish(2)).unwrap();
    let Err(Refusal::AllOrNone(why)) = alone.gate().reached(Stage::Reserved).await else { panic!("one is not all") };
    assert!(why.contains("in time"), "{why}");
}

#[tokio::test]
async fn what_is_complete_does_not_fail() {
    let groups = Groups::default();
    let [one, other] = [0; 2].map(|_| groups.join(&wish(2)).unwrap());
    let waits = tokio::spawn(one.gate().reached(Stage::Established));
    tokio::task::yield_now().await;
    assert_eq!(other.gate().reached(Stage::Established).await, Ok(()));
    drop(other);
    assert_eq!(waits.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_group_has_the_members_it_is_said_to_have() {
    let groups = Groups::default();
    let member = groups.join(&wish(2)).unwrap();
    assert!(matches!(groups.join(&wish(3)), Err(Refusal::NotAcceptable(_))), "another says there are two");
    let last = groups.join(&wish(2)).unwrap();
    assert!(matches!(groups.join(&wish(2)), Err(Refusal::NotAcceptable(_))), "both are there");
    drop((member, last));
    assert!(groups.join(&wish(3)).is_ok());
}
