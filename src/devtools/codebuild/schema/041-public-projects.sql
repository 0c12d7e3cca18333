-- What lets strangers in without a signature: random, made when they are first needed, and kept from then on, so that published links stay good.
alter table codebuild.projects add column badge_token text;
alter table codebuild.projects add column public_alias text;
create unique index projects_badge_token on codebuild.projects (badge_token) where badge_token is not null;
create unique index projects_public_alias on codebuild.projects (public_alias) where public_alias is not null;
