-- Where the process that runs the sandbox listens, for other processes to hand its sessions on.
alter table codebuild.sandboxes add column endpoint text;
