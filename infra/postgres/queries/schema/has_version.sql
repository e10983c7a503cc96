-- Whether anything was migrated here.
SELECT to_regclass('refinery_schema_history') IS NOT NULL AS has_version
