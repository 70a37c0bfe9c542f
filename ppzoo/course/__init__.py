# SPDX-License-Identifier: Apache-2.0
"""The course's homework: quizzes that teach, hidden tests, grading, handing in."""
