-- Stops all appends for reason $1. The first reason stays.
UPDATE installation SET suspended_because = $1 WHERE suspended_because IS NULL
