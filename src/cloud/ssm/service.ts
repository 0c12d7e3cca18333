/** AWS Systems Manager, as far as Parameter Store. */
import { defineService } from '../../platform/service.ts';
import { deleteParameter, deleteParameters } from './delete-parameters.ts';
import { getParameter, getParameterHistory, getParameters } from './get-parameters.ts';
import { labelParameterVersion, unlabelParameterVersion } from './labels.ts';
import { describeParameters, getParametersByPath } from './lists.ts';
import { putParameter } from './put-parameter.ts';
import { addTagsToResource, listTagsForResource, removeTagsFromResource } from './tags.ts';

export const ssm = defineService('ssm', {
  operations: {
    putParameter,
    getParameter,
    getParameters,
    getParametersByPath,
    getParameterHistory,
    describeParameters,
    deleteParameter,
    deleteParameters,
    labelParameterVersion,
    unlabelParameterVersion,
    addTagsToResource,
    removeTagsFromResource,
    listTagsForResource,
  },
  schema: new URL('./schema/', import.meta.url),
});
