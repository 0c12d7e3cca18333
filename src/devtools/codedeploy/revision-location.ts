/** Where a revision lies: which locations make sense, and when two are the same revision. */
import { createHash } from 'node:crypto';
import type { ComputePlatform, RevisionLocation } from './tables.ts';

const BUNDLE_TYPES: Record<ComputePlatform, string[]> = {
  Server: ['tar', 'tgz', 'zip'],
  Lambda: ['YAML', 'JSON'],
  ECS: ['YAML', 'JSON'],
};

/** What is wrong with a location for an application of that platform; undefined when nothing is. */
export function locationProblem(location: RevisionLocation, platform: ComputePlatform): string | undefined {
  switch (location.revisionType) {
    case undefined:
      return 'Revision type must be specified.';
    case 'S3': {
      const { bucket, key, bundleType } = location.s3Location ?? {};
      if (!bucket) return 'Bucket must be specified for a revision in Amazon S3.';
      if (!key) return 'Key must be specified for a revision in Amazon S3.';
      if (!bundleType) return 'Bundle type must be specified for a revision in Amazon S3.';
      if (!BUNDLE_TYPES[platform].includes(bundleType)) {
        return `The bundle type ${bundleType} is not valid for the compute platform ${platform}.`;
      }
      return undefined;
    }
    case 'GitHub': {
      const { repository, commitId } = location.gitHubLocation ?? {};
      if (platform !== 'Server') return `Revisions in GitHub are not valid for the compute platform ${platform}.`;
      if (!repository || !/^[\w.-]+\/[\w.-]+$/.test(repository)) return 'Repository must be specified as account/repository.';
      if (!commitId || !/^[0-9a-f]{40}$/i.test(commitId)) return 'Commit ID must be specified as 40 hexadecimal digits.';
      return undefined;
    }
    case 'AppSpecContent':
    case 'String': {
      if (platform === 'Server') return `The revision type ${location.revisionType} is not valid for the compute platform Server.`;
      const { content } = (location.revisionType === 'String' ? location.string : location.appSpecContent) ?? {};
      return content ? undefined : 'The content of the revision must be specified.';
    }
  }
}

/** Only the members of the location's own type, and ETags without quotes: as it is kept and shown. */
export function normalized(location: RevisionLocation): RevisionLocation {
  const { revisionType, s3Location, gitHubLocation, string, appSpecContent } = location;
  switch (revisionType) {
    case 'S3': {
      const { bucket, key, bundleType, version, eTag } = s3Location!;
      return {
        revisionType,
        s3Location: { bucket, key, bundleType, ...(version && { version }), ...(eTag && { eTag: eTag.replaceAll('"', '') }) },
      };
    }
    case 'GitHub':
      return { revisionType, gitHubLocation: { repository: gitHubLocation!.repository, commitId: gitHubLocation!.commitId } };
    case 'String':
      return { revisionType, string: withDigest(string!.content!) };
    default:
      return { revisionType, appSpecContent: withDigest(appSpecContent!.content!) };
  }
}

function withDigest(content: string): { content: string; sha256: string } {
  return { content, sha256: createHash('sha256').update(content).digest('hex') };
}

/** Of a normalized location: equal for the same revision, and for no other. */
export function locationDigest(location: RevisionLocation): string {
  return createHash('sha256').update(JSON.stringify(location)).digest('hex');
}
