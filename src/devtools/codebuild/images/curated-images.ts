/** ListCuratedEnvironmentImages: the images that AWS provides for CodeBuild, by name. None of them is part of Penstock. */
import { type Output, operation } from '../../../platform/service.ts';
import { CURATED } from './catalogue.ts';

type Platforms = NonNullable<Output<'codebuild', 'ListCuratedEnvironmentImages'>['platforms']>;

export const listCuratedEnvironmentImages = operation('codebuild', 'ListCuratedEnvironmentImages', {
  authorize: () => '*',
  partial: 'versions holds the moving name alone: which dated builds of an image there are only AWS can tell',
  handle: async () => ({ platforms: PLATFORMS }),
});

const PLATFORMS: Platforms = CURATED.map(({ platform, languages }) => ({
  // AWS answers with platforms and languages (STANDARD) that its own model does not list.
  platform: platform as Platforms[number]['platform'],
  languages: Object.entries(languages).map(([language, images]) => ({
    language: language as NonNullable<Platforms[number]['languages']>[number]['language'],
    images: Object.entries(images).map(([name, description]) => ({ name, description, versions: [name] })),
  })),
}));
