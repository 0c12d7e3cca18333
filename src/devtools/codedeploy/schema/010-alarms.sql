-- Why an alarm stops the deployment; null where none does.
alter table codedeploy.deployments add column stopped_by_alarm text;
