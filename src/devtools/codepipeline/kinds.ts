/** The names of CodePipeline's two reconcilers. */

/** By pipeline: who may enter which stage, and which actions are due. */
export const PIPELINE = 'codepipeline.pipeline';
/** By action run: the work of one action. */
export const ACTION = 'codepipeline.action';
