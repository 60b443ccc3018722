//! What there is, and what the server can do.

use arrow::array::{AsArray, RecordBatch};
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use arrow_flight::{FlightInfo, IpcMessage};

use super::server::{ADA, BOB, Client, fetch, serve, text, update};

async fn rows(client: &mut Client, info: FlightInfo) -> Vec<RecordBatch> {
    fetch(client, &info).await.unwrap()
}

/// Catalogs, schemas, tables with their columns and types, as the tenant has them.
#[tokio::test(flavor = "multi_thread")]
async fn tables_are_listed() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    update(
        &mut ada,
        "CREATE TABLE people AS SELECT 1 AS id, 'Ada' AS name",
    )
    .await
    .unwrap();
    update(&mut ada, "CREATE VIEW names AS SELECT name FROM people")
        .await
        .unwrap();

    let info = ada.get_catalogs().await.unwrap();
    let catalogs = text(&rows(&mut ada, info).await);
    let info = ada
        .get_db_schemas(CommandGetDbSchemas {
            catalog: None,
            db_schema_filter_pattern: Some("pub%".to_owned()),
        })
        .await
        .unwrap();
    let schemas = rows(&mut ada, info).await;
    assert!(text(&schemas).contains("public"));
    let catalog = schemas[0].column(0).as_string::<i32>().value(0);
    assert!(catalogs.contains(catalog));

    let tables = |kinds: &[&str]| CommandGetTables {
        catalog: Some(catalog.to_owned()),
        table_types: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        include_schema: true,
        ..Default::default()
    };
    let info = ada.get_tables(tables(&["BASE TABLE"])).await.unwrap();
    let found = rows(&mut ada, info).await;
    assert_eq!(found[0].num_rows(), 1);
    assert_eq!(found[0].column(2).as_string::<i32>().value(0), "people");
    let bytes = found[0].column(4).as_binary::<i32>().value(0).to_vec();
    let schema = arrow::datatypes::Schema::try_from(IpcMessage(bytes.into())).unwrap();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["id", "name"]);
    let info = ada.get_tables(tables(&["VIEW"])).await.unwrap();
    assert!(text(&rows(&mut ada, info).await).contains("names"));

    let mut bob = served.client(BOB).await;
    let info = bob.get_tables(tables(&[])).await.unwrap();
    let found = rows(&mut bob, info).await;
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);

    let info = ada.get_table_types().await.unwrap();
    assert!(text(&rows(&mut ada, info).await).contains("BASE TABLE"));
    served.stop().await;
}

/// Keys, abilities and types have the schemas that drivers expect.
#[tokio::test(flavor = "multi_thread")]
async fn keys_and_abilities_are_told() {
    let served = serve(|_| {}).await;
    let mut ada = served.client(ADA).await;
    update(&mut ada, "CREATE TABLE t AS SELECT 1 AS x")
        .await
        .unwrap();
    let table = || "t".to_owned();
    let keys = [
        ada.get_primary_keys(CommandGetPrimaryKeys {
            table: table(),
            ..Default::default()
        })
        .await,
        ada.get_exported_keys(CommandGetExportedKeys {
            table: table(),
            ..Default::default()
        })
        .await,
        ada.get_imported_keys(CommandGetImportedKeys {
            table: table(),
            ..Default::default()
        })
        .await,
        ada.get_cross_reference(CommandGetCrossReference::default())
            .await,
    ];
    for info in keys {
        let found = rows(&mut ada, info.unwrap()).await;
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    }
    let info = ada
        .get_sql_info(vec![SqlInfo::FlightSqlServerName])
        .await
        .unwrap();
    assert!(text(&rows(&mut ada, info).await).contains("Data Sanitizer"));
    let info = ada.get_sql_info(vec![]).await.unwrap();
    assert!(rows(&mut ada, info).await[0].num_rows() > 20);
    let varchar = CommandGetXdbcTypeInfo {
        data_type: Some(12),
    };
    let info = ada.get_xdbc_type_info(varchar).await.unwrap();
    let types = rows(&mut ada, info).await;
    assert_eq!(types[0].num_rows(), 1);
    assert!(text(&types).contains("VARCHAR"));
    served.stop().await;
}
