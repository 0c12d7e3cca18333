-- For lists, which begin with the most recent activity.
create index on codecommit.pull_requests (repository_id, last_activity_at, id);
