# SPDX-License-Identifier: Apache-2.0
"""The course's homework: quizzes that teach, tests that students do not see, grading, handing in."""
