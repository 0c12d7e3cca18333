-- A restart installs the revision of this deployment again; hosts may use what they kept of it.
alter table codedeploy.deployments add column restart_of text;
