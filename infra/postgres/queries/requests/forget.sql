-- Forgets requests that were recorded before $1, and counts them up to $2; NULL if they are refused to be forgotten.
SELECT forget_requests($1, $2) AS count
