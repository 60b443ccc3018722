//! Options of sessions.

use std::collections::HashMap;

use prost::Message;

use super::server::{ADA, Client, act, query, serve, update};

/// The value of an option, as the protocol carries it: here, a text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionValue {
    #[prost(string, optional, tag = "1")]
    pub text: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Options {
    #[prost(map = "string, message", tag = "1")]
    pub options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionError {
    #[prost(int32, tag = "1")]
    pub value: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct OptionErrors {
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, OptionError>,
}

pub async fn set(client: &mut Client, name: &str, value: Option<&str>) -> Option<i32> {
    let text = value.map(str::to_owned);
    let options = HashMap::from([(name.to_owned(), OptionValue { text })]);
    let body = Options { options }.encode_to_vec();
    let result = act(client, "SetSessionOptions", body).await.unwrap();
    let errors = OptionErrors::decode(&*result).unwrap().errors;
    errors.get(name).map(|error| error.value)
}

async fn options(client: &mut Client) -> HashMap<String, Option<String>> {
    let body = act(client, "GetSessionOptions", Vec::new()).await.unwrap();
    let options = Options::decode(&*body).unwrap().options;
    options
        .into_iter()
        .map(|(name, value)| (name, value.text))
        .collect()
}

/// Options are set in one session and in no other; wrong ones are told of.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_have_options() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    let mut other = served.client(ADA).await;
    update(&mut ada, "CREATE SCHEMA cleaned").await.unwrap();
    update(&mut ada, "CREATE TABLE cleaned.t AS SELECT 1 AS x")
        .await
        .unwrap();
    assert_eq!(options(&mut ada).await["schema"].as_deref(), Some("public"));
    assert_eq!(set(&mut ada, "schema", Some("cleaned")).await, None);
    assert_eq!(
        options(&mut ada).await["schema"].as_deref(),
        Some("cleaned")
    );
    query(&mut ada, "SELECT * FROM t").await.unwrap();
    assert!(query(&mut other, "SELECT * FROM t").await.is_err());
    let size = "datafusion.execution.batch_size";
    assert_eq!(set(&mut ada, size, Some("100")).await, None);
    assert_eq!(options(&mut ada).await[size].as_deref(), Some("100"));
    assert_ne!(options(&mut other).await[size].as_deref(), Some("100"));
    assert_eq!(set(&mut ada, size, None).await, None);
    assert_ne!(options(&mut ada).await[size].as_deref(), Some("100"));
    let (invalid_name, invalid_value) = (Some(1), Some(2));
    assert_eq!(
        set(&mut ada, "schema", Some("nowhere")).await,
        invalid_value
    );
    assert_eq!(set(&mut ada, size, Some("many")).await, invalid_value);
    assert_eq!(
        set(&mut ada, "datafusion.nothing", Some("1")).await,
        invalid_name
    );
    assert_eq!(
        set(&mut ada, "x = 1; DROP TABLE t", Some("1")).await,
        invalid_name
    );
    assert_eq!(
        set(&mut ada, size, Some("1'; SELECT 1 --")).await,
        invalid_value
    );
    served.stop().await;
}
