/** Rows as IAM's answers show them. `full`: with what Get… tells and List… does not. */
import type { ShapeOf } from '../../platform/service.ts';
import { type Entity, tagList } from './entities.ts';

/** Policy documents travel percent-encoded (RFC 3986) in answers. */
export function encodeDocument(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

export function describeUser(user: Entity, full = false): ShapeOf<'iam', 'User'> {
  return {
    Path: user.path,
    UserName: user.name,
    UserId: user.id,
    Arn: user.arn,
    CreateDate: user.created_at,
    ...(full && { PermissionsBoundary: boundary(user), Tags: tagsOf(user) }),
  };
}

export function describeGroup(group: Entity): ShapeOf<'iam', 'Group'> {
  return { Path: group.path, GroupName: group.name, GroupId: group.id, Arn: group.arn, CreateDate: group.created_at };
}

export function describeRole(role: Entity, full = false): ShapeOf<'iam', 'Role'> {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: role.created_at,
    AssumeRolePolicyDocument: encodeDocument(role.trust_policy!),
    Description: role.description ?? undefined,
    MaxSessionDuration: role.max_session_seconds ?? undefined,
    ...(full && {
      PermissionsBoundary: boundary(role),
      Tags: tagsOf(role),
      RoleLastUsed: role.last_used_at ? { LastUsedDate: role.last_used_at, Region: role.last_used_region ?? undefined } : {},
    }),
  };
}

export function describeProfile(profile: Entity, role: Entity | undefined, full = false): ShapeOf<'iam', 'InstanceProfile'> {
  return {
    Path: profile.path,
    InstanceProfileName: profile.name,
    InstanceProfileId: profile.id,
    Arn: profile.arn,
    CreateDate: profile.created_at,
    Roles: role ? [describeRole(role)] : [],
    ...(full && { Tags: tagsOf(profile) }),
  };
}

/** The model's enum says otherwise, but `Policy` is what IAM answers. */
function boundary({ boundary }: Entity): ShapeOf<'iam', 'AttachedPermissionsBoundary'> | undefined {
  return boundary ? { PermissionsBoundaryType: 'Policy' as never, PermissionsBoundaryArn: boundary } : undefined;
}

function tagsOf({ tags }: Entity): ShapeOf<'iam', 'Tag'>[] | undefined {
  return Object.keys(tags).length > 0 ? tagList(tags) : undefined;
}
