-- The request of the event at position $1, whether or not readers get it yet.
SELECT request_id FROM events WHERE position = $1
