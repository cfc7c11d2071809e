-- Whether another picture has the same bytes is looked up when one is dropped.

CREATE INDEX asset_key ON asset (json_extract(record, '$.key'));
