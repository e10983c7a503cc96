-- Notifies all listeners. $1 channel, $2 the position of the last event.
SELECT pg_notify($1, $2)
