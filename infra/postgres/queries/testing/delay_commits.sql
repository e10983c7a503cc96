-- Makes every transaction that has stored events wait for a random time before it commits. A deferred trigger runs just
-- before the commit, once per transaction: on its first event.
CREATE OR REPLACE FUNCTION delay_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(random() * TG_ARGV[0]::double precision);
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS delay_commit ON events;
CREATE CONSTRAINT TRIGGER delay_commit AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN ((NEW.position & 1048575) = 0) EXECUTE FUNCTION delay_commit('{seconds_max}');
