-- Other programs that are connected to this database, but for those of an operator and those without a name: the URL of
-- a service may give it any name.
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND application_name <> '' AND application_name NOT LIKE 'psql%' AND application_name NOT LIKE 'pg\_%'
ORDER BY application_name
