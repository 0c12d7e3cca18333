/** CodePipeline's ARNs: no word for the kind of resource; stages and actions follow the pipeline's name. */
export function pipelineArn({ account, region, name }: { account: string; region: string; name: string }): string {
  return `arn:aws:codepipeline:${region}:${account}:${name}`;
}

/** For authorization of operations on one pipeline. */
export function arnOf(ctx: { account: string; region: string }, ...path: string[]): string {
  return pipelineArn({ account: ctx.account, region: ctx.region, name: path.join('/') });
}
