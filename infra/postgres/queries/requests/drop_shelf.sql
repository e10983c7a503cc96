-- Takes the oldest shelf down where everything on it is forgotten.
SELECT drop_request_shelf() AS done
