/** buildBatchConfig: what the model cannot say of it, its defaults, and what its restrictions forbid. */
import type { RequestContext } from '../../../platform/service.ts';
import { type BatchBuild, MAX_BATCH_BUILDS } from '../buildspec/batch-build.ts';
import { invalid } from '../rules.ts';
import { BuildFailure } from '../runner/outcome.ts';
import { checkServiceRole } from '../service-role.ts';
import type { BuildDefinition, ProjectDefinition } from '../tables.ts';
import type { BatchConfig } from './tables.ts';

type GivenConfig = NonNullable<ProjectDefinition['buildBatchConfig']>;

/** minutes; CodeBuild user guide, "Create a build project": eight hours unless it says otherwise. */
const DEFAULT_TIMEOUT = 480;
const ROLE_MISSING = 'Invalid batch config: serviceRole is a required field: it is the role that starts the builds of a batch';
const TIMEOUTS = { least: 5, most: 2160 };

/** Of a project: what it says, and that CodeBuild may act as its role. Empty is the same as none. */
export async function checkBatchRole(ctx: RequestContext, config: GivenConfig | undefined): Promise<void> {
  if (!config || Object.keys(config).length === 0) return;
  checkBatchConfig(config);
  if (!config.serviceRole) throw invalid(ROLE_MISSING);
  await checkServiceRole(ctx, config.serviceRole);
}

function checkBatchConfig(config: GivenConfig): void {
  const { restrictions, timeoutInMins } = config;
  const most = restrictions?.maximumBuildsAllowed;
  if (most !== undefined && (most < 1 || most > MAX_BATCH_BUILDS)) {
    throw invalid(`Invalid batch config: maximumBuildsAllowed must be between 1 and ${MAX_BATCH_BUILDS}`);
  }
  if (timeoutInMins !== undefined && (timeoutInMins < TIMEOUTS.least || timeoutInMins > TIMEOUTS.most)) {
    throw invalid(`Invalid batch config: timeoutInMins must be between ${TIMEOUTS.least} and ${TIMEOUTS.most}`);
  }
}

/** The project's settings with those of one StartBuildBatch over them. */
export function mergeBatchConfig(own: GivenConfig | undefined, override: GivenConfig | undefined): BatchConfig {
  const merged = { ...own, ...override, restrictions: { ...own?.restrictions, ...override?.restrictions } };
  checkBatchConfig(merged);
  const { serviceRole } = merged;
  if (!serviceRole) throw invalid(ROLE_MISSING);
  return {
    ...merged,
    serviceRole,
    timeoutInMins: merged.timeoutInMins ?? DEFAULT_TIMEOUT,
    restrictions: { ...merged.restrictions, maximumBuildsAllowed: merged.restrictions.maximumBuildsAllowed ?? MAX_BATCH_BUILDS },
  };
}

/** Throws BuildFailure when the batch asks for more than the project's owner lets it. */
export function checkRestrictions(builds: BatchBuild[], { restrictions }: BatchConfig, { environment }: BuildDefinition): void {
  const { maximumBuildsAllowed, computeTypesAllowed = [], fleetsAllowed = [] } = restrictions;
  if (builds.length > maximumBuildsAllowed) {
    throw new BuildFailure(
      'CLIENT_ERROR',
      `The batch has ${builds.length} builds, more than maximumBuildsAllowed, which is ${maximumBuildsAllowed}`,
    );
  }
  for (const { identifier, env } of builds) {
    const fleet = env.fleet ?? (env.computeType ? undefined : environment?.fleet?.fleetArn);
    const computeType = env.computeType ?? environment?.computeType ?? '';
    if (fleet !== undefined) {
      if (fleetsAllowed.length > 0 && !fleetsAllowed.some((allowed) => sameFleet(allowed, fleet))) {
        throw new BuildFailure('CLIENT_ERROR', `The fleet ${fleet} of build ${identifier} is not among fleetsAllowed`);
      }
    } else if (computeTypesAllowed.length > 0 && !computeTypesAllowed.includes(computeType)) {
      throw new BuildFailure('CLIENT_ERROR', `The compute type ${computeType} of build ${identifier} is not among computeTypesAllowed`);
    }
  }
}

/** A buildspec may give a fleet's name where the restriction has its ARN (`…:fleet/name:id`). */
function sameFleet(allowed: string, fleet: string): boolean {
  return allowed === fleet || allowed.split(':fleet/')[1]?.split(':')[0] === fleet;
}
