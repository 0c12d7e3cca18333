/** Approval: tells whoever listens to its topic, and waits for PutApprovalResult, which writes the answer itself. */
import type { ActionJob, Provider } from './provider.ts';

const MAX_SUBJECT = 100;

export const manualApproval: Provider = {
  async advance(job) {
    const topic = job.configuration.NotificationArn;
    if (topic && job.run.external_id === null) await notify(job, topic);
    // An external id of its own lets the engine set the time-out once.
    return { state: 'InProgress', externalId: job.run.id };
  },
};

/** User guide, "JSON data format for manual approval notifications". A crash right after may tell it once more. */
async function notify(job: ActionJob, TopicArn: string): Promise<void> {
  const { run, pipeline, configuration, deadline } = job;
  const consoleLink = `${pipeline.endpoint()}/codepipeline/home?region=${pipeline.region}#/view/${pipeline.name}`;
  const message = {
    region: pipeline.region,
    consoleLink,
    approval: {
      pipelineName: pipeline.name,
      stageName: run.stage,
      actionName: run.action,
      token: run.token,
      expires: `${deadline.toISOString().slice(0, 'YYYY-MM-DDTHH:MM'.length)}Z`,
      externalEntityLink: configuration.ExternalEntityLink ?? null,
      approvalReviewLink: `${consoleLink}/${run.stage}/${run.action}/approve/${run.token}`,
      customData: configuration.CustomData,
    },
  };
  const Subject = `APPROVAL NEEDED: AWS CodePipeline ${pipeline.name} for action ${run.action}`.slice(0, MAX_SUBJECT);
  // In the topic's own region, whichever the action's is.
  await job.clientsIn(TopicArn.split(':')[3]!).then(({ sns }) => sns.publish({ TopicArn, Subject, Message: JSON.stringify(message) }));
}
