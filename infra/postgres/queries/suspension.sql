-- The reason for which appends are suspended, or NULL.
SELECT suspended_because FROM installation
